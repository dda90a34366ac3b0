import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, isFree, Process, root, until } from "../../deploy/local/process.ts";
import type { GatewayNode, Stage } from "./servers.ts";

export interface Nginx {
  readonly url: string;
  readonly httpsUrl: string;
  readonly webSocketUrl: string;
}

/** An nginx with the configuration of deploy/, in front of up to three nodes. */
export async function startNginx(
  stage: Stage,
  nodes: readonly GatewayNode[],
  ...changes: [string, string][]
): Promise<Nginx> {
  const [http, https] = [await freePort(), await freePort()];
  const directory = mkdtempSync(join(tmpdir(), "tidegate-nginx-"));
  stage.add({ stop: () => rmSync(directory, { recursive: true, force: true }) });
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (what) => `${what}_temp_path ${directory}/${what};`,
  );
  let text = readFileSync(join(root, "deploy/nginx.conf"), "utf8");
  const places = [8081, 8082, 8083].map((port, i): [string, string] => {
    const line = `server 127.0.0.1:${port} max_fails=1 fail_timeout=2s;`;
    const node = nodes[i];
    return [line, node ? line.replace(String(port), String(node.port)) : ""];
  });
  const all: [string, string][] = [
    ["pid .tidegate/nginx.pid;", `pid ${directory}/pid;`],
    ["access_log .tidegate/", `access_log ${directory}/`],
    ["http {\n", `http {\n${temporary.join("\n")}\n`],
    ["listen 8089;", `listen 127.0.0.1:${http};`],
    ["listen 8449 ssl", `listen 127.0.0.1:${https} ssl`],
    ["ssl_certificate     ../.tidegate", `ssl_certificate ${root}/.tidegate`],
    ["ssl_certificate_key ../.tidegate", `ssl_certificate_key ${root}/.tidegate`],
    ...places,
    ...changes,
  ];
  for (const [from, to] of all) {
    if (!text.includes(from)) throw new Error(`nginx.conf has no ${from}`);
    text = text.replace(from, () => to);
  }
  const file = join(directory, "nginx.conf");
  writeFileSync(file, text);
  const nginx = stage.add(new Process("nginx", "nginx", ["-p", directory, "-c", file, "-g", "daemon off;"]));
  await until("nginx listens", async () => {
    if (!nginx.isRunning) throw nginx.failure("ended");
    return !(await isFree(https));
  });
  return {
    url: `http://127.0.0.1:${http}`,
    httpsUrl: `https://127.0.0.1:${https}`,
    webSocketUrl: `ws://127.0.0.1:${http}/ws`,
  };
}

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import { Process, until } from "../../deploy/local/process.ts";
import type { Stage } from "./servers.ts";

/** The first that is there; undefined: none. */
export const chromium = ["chromium", "chromium-browser", "google-chrome"].find((name) => {
  try {
    execFileSync("sh", ["-c", `command -v ${name}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
});

/** An empty page of an origin of its own. @returns the origin */
export async function emptyPage(stage: Stage): Promise<string> {
  const server = createServer((_, response) => {
    response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>empty</title>");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  stage.add({
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Answer {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

/** A page in a headless Chromium, which takes any certificate, driven by the DevTools protocol. */
export class Page {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  #session: string | undefined;
  #calls = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data) => {
      const { id = 0, result, error } = JSON.parse(String(data)) as Answer;
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) waiting?.reject(new Error(error.message));
      else waiting?.resolve(result);
    });
  }

  static async open(stage: Stage, url: string): Promise<Page> {
    const profile = mkdtempSync(join(tmpdir(), "tidegate-browser-"));
    stage.add({ stop: () => rmSync(profile, { recursive: true, force: true, maxRetries: 5 }) });
    const args = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
    args.push("--ignore-certificate-errors", "--no-first-run", "--disable-background-networking");
    args.push("--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank");
    const browser = stage.add(new Process("chromium", chromium ?? "chromium", args));
    const line = await browser.line(/DevTools listening on ws:/, 30_000);
    const socket = new WebSocket(line.slice(line.indexOf("ws:")), { perMessageDeflate: false });
    stage.add({ stop: () => socket.terminate() });
    await once(socket, "open");
    const page = new Page(socket);
    const { targetId } = (await page.#call("Target.createTarget", { url })) as { targetId: string };
    const attached = await page.#call("Target.attachToTarget", { targetId, flatten: true });
    page.#session = (attached as { sessionId: string }).sessionId;
    const isThere = `document.readyState === "complete" && location.href.startsWith(${JSON.stringify(url)})`;
    await until("the page is there", () => page.value<boolean>(isThere));
    return page;
  }

  /** The value of an expression, as JSON has it. */
  async value<T>(expression: string): Promise<T> {
    const answer = (await this.#call("Runtime.evaluate", {
      expression,
      returnByValue: true,
      awaitPromise: true,
    })) as { result: { value: T }; exceptionDetails?: { text: string } };
    if (answer.exceptionDetails) throw new Error(`${answer.exceptionDetails.text}: ${expression}`);
    return answer.result.value;
  }

  #call(method: string, params: object): Promise<unknown> {
    const id = ++this.#calls;
    const sessionId = this.#session;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#socket.send(
        JSON.stringify({ id, method, params, ...(sessionId !== undefined && { sessionId }) }),
      );
    });
  }
}

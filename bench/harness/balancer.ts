import { execFileSync } from "node:child_process";
import { type Haproxy, startHaproxy } from "../../deploy/local/haproxy.ts";
import { root } from "../../deploy/local/process.ts";
import { LOAD_CORE } from "./cores.ts";

export type { Haproxy };

const UNLIMITED = "1000000";

/** HAProxy with the repository's configuration, on the core of the load; limits that a crowd from one address would meet are off. */
export async function startBalancer(nodes: { port: number; adminPort: number }[]): Promise<Haproxy> {
  execFileSync(`${root}/deploy/certificate.sh`);
  for (const limit of ["MAXCONN", "CONN_RATE", "ERRORS"])
    process.env[`HAPROXY_${limit}_PER_ADDRESS`] = UNLIMITED;
  const haproxy = await startHaproxy({ nodes });
  execFileSync("taskset", ["-apc", String(LOAD_CORE), String(haproxy.pid)]);
  return haproxy;
}

import { once } from "node:events";
import type { Server } from "node:http";
import type { Config } from "../config/config.ts";
import { EXCLUSIVE_PORT, type Uws, type us_listen_socket } from "../transport/uws.ts";

/** @throws {Error} naming the port that is taken */
export async function listenAdmin(admin: Server, { admin_host, admin_port }: Config): Promise<void> {
  admin.listen(admin_port, admin_host);
  try {
    await once(admin, "listening");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === "EADDRINUSE" ? "taken" : `not an address of this machine (${code})`;
    throw new Error(
      `cannot listen on ${admin_host}:${admin_port}: ${why} (TIDEGATE_ADMIN_HOST, TIDEGATE_ADMIN_PORT)`,
    );
  }
}

/** Likewise. */
export function listen(app: ReturnType<Uws["App"]>, { host, port }: Config): Promise<us_listen_socket> {
  return new Promise((resolve, reject) => {
    // The typings lack the form with a host and options, which the addon has.
    const listenExclusively = app.listen.bind(app) as unknown as (
      host: string,
      port: number,
      options: number,
      callback: (socket: us_listen_socket | false) => void,
    ) => void;
    listenExclusively(host, port, EXCLUSIVE_PORT, (socket) => {
      if (socket) resolve(socket);
      else
        reject(
          new Error(
            `cannot listen on ${host}:${port}: taken, or not an address of this machine (TIDEGATE_HOST, TIDEGATE_PORT)`,
          ),
        );
    });
  });
}

/** As a URL has it. */
export function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

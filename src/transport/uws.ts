import type {
  HttpRequest,
  HttpResponse,
  TemplatedApp,
  us_listen_socket,
  us_socket_context_t,
  WebSocket,
} from "uWebSockets.js";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/*
 * The only module that loads uWebSockets.js: a native addon that is not on npm under its own name
 * (docs/supply.md says which bytes run and how to check them).
 */

export type { HttpRequest, HttpResponse, TemplatedApp, us_listen_socket, us_socket_context_t, WebSocket };

/** What is used of it. The typings of the package declare constants as types, hence our own. */
export interface Uws {
  /** The package that was loaded, like `uws-pack@20.0.8`. */
  readonly name: string;
  App(): TemplatedApp;
  us_listen_socket_close(socket: us_listen_socket): void;
  us_socket_local_port(socket: us_listen_socket): number;
}

/** `listen` fails when the port is taken; without it two nodes would share one port and halve each other's clients. */
export const EXCLUSIVE_PORT = 1;

/** Methods of a socket that the typings lack: one message as several frames (RFC 6455, section 5.4). */
export interface Fragments {
  sendFirstFragment(fragment: Uint8Array, isBinary: boolean): void;
  sendFragment(fragment: Uint8Array): void;
  sendLastFragment(fragment: Uint8Array): void;
}

/** A platform that no binary fits; the message says what was found, what is needed and what to try. */
class UnsupportedPlatform extends Error {
  override readonly name = "UnsupportedPlatform";
}

/** JWTs in headers pass the 4096 bytes that uWebSockets.js allows by default. Read when the addon loads. */
export const MAX_HEADER_BYTES = "16384";

/** @throws {UnsupportedPlatform} */
export async function loadUws(): Promise<Uws> {
  process.env.UWS_HTTP_MAX_HEADERS_SIZE ??= MAX_HEADER_BYTES;
  try {
    const module = (await import("uWebSockets.js")) as unknown as Uws & { default?: Uws };
    // uws-pack has named exports; builds made for newer platforms are CommonJS and arrive as the default.
    const { App, us_listen_socket_close, us_socket_local_port } =
      typeof module.App === "function" ? module : (module.default as Uws);
    return { name: packageName(), App, us_listen_socket_close, us_socket_local_port };
  } catch (cause) {
    throw new UnsupportedPlatform(explain(platform(), cause), { cause });
  }
}

function packageName(): string {
  const entry = fileURLToPath(import.meta.resolve("uWebSockets.js"));
  const folder = dirname(entry);
  const manifest = [folder, dirname(folder)].map((at) => join(at, "package.json")).find(existsSync);
  if (!manifest) return "unknown";
  const { name, version } = JSON.parse(readFileSync(manifest, "utf8")) as { name: string; version: string };
  return `${name}@${version}`;
}

export interface Platform {
  readonly os: string;
  readonly arch: string;
  readonly node: string;
  readonly abi: string;
  /** Undefined where the C library is not glibc, as on Alpine. */
  readonly glibc: string | undefined;
}

export function platform(): Platform {
  const report = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  const glibc = report.header.glibcVersionRuntime;
  return {
    os: process.platform,
    arch: process.arch,
    node: process.version,
    abi: process.versions.modules,
    glibc,
  };
}

export function explain({ os, arch, node, abi, glibc }: Platform, cause: unknown): string {
  const libc = os === "linux" ? `, ${glibc ? `glibc ${glibc}` : "no glibc (musl?)"}` : "";
  return [
    "uWebSockets.js (v20.49.0 via uws-pack 20.0.8) cannot load on this platform.",
    `  found:  ${os}-${arch}, Node ${node} (ABI ${abi})${libc}`,
    "  needs:  linux, darwin or win32 on x64 or arm64, Node 20 or 22, glibc >= 2.27 (Alpine/musl: no)",
    "  try:    Node 22 LTS; or, with glibc >= 2.38 (Debian 13, Ubuntu 24.04),",
    "          npm i uWebSockets.js@npm:@btc-vision/uwebsockets.js@20.57.0",
    `  cause:  ${cause instanceof Error ? cause.message.split("\n")[0] : String(cause)}`,
  ].join("\n");
}

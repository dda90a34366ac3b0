import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./run.ts";

/** A certificate authority, and a certificate of 127.0.0.1 that it signed. */
export class Authority {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
  readonly #directory = mkdtempSync(join(tmpdir(), "tidegate-authority-"));

  private constructor() {
    this.ca = this.#file("ca.pem");
    this.certificate = this.#file("server.pem");
    this.key = this.#file("server.key");
  }

  static async make(): Promise<Authority> {
    const made = new Authority();
    await made.#make();
    return made;
  }

  stop(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #make(): Promise<void> {
    const [caKey, request, extensions] = ["ca.key", "request", "extensions"].map((name) =>
      this.#file(name),
    ) as [string, string, string];
    const newKey = ["-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    const day = ["-days", "1"];
    await openssl("req", "-x509", ...day, "-subj", "/CN=Test", ...newKey, "-keyout", caKey, "-out", this.ca);
    await openssl("req", "-subj", "/CN=127.0.0.1", ...newKey, "-keyout", this.key, "-out", request);
    writeFileSync(extensions, "subjectAltName=IP:127.0.0.1\n");
    const signer = ["-CA", this.ca, "-CAkey", caKey, "-CAcreateserial"];
    await openssl(
      "x509",
      "-req",
      ...day,
      "-in",
      request,
      "-extfile",
      extensions,
      ...signer,
      "-out",
      this.certificate,
    );
  }

  #file(name: string): string {
    return join(this.#directory, name);
  }
}

async function openssl(...args: string[]): Promise<void> {
  const { code, stderr } = await run("openssl", args);
  if (code !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`);
}

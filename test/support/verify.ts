import { DEFAULTS, publishersFor, type VerifyOptions } from "../../src/verify/options.ts";
import { type Report, renderReport } from "../../src/verify/report.ts";
import { type VerifyHooks, verify } from "../../src/verify/run.ts";
import { token } from "./token.ts";

/** Three seconds of a busy fleet, with tokens of the tests' secret. */
function verifyOptions(url: string, options: Partial<VerifyOptions> = {}): VerifyOptions {
  return {
    ...DEFAULTS,
    publishers: publishersFor(options.rate ?? DEFAULTS.rate),
    durationMs: 3_000,
    reconnectMs: 1_000,
    awayMs: 500,
    url,
    token: (user) => token({ sub: user, channels: { "verify-*": ["subscribe", "publish"] } }),
    strangerToken: () => token({ sub: "verify-stranger", channels: {} }),
    ...options,
  };
}

export function runVerify(
  url: string,
  options: Partial<VerifyOptions> = {},
  hooks: VerifyHooks = {},
): Promise<Report> {
  return verify(verifyOptions(url, options), hooks);
}

/** Fails with the whole report. */
export function expectKept(report: Report): void {
  if (!report.ok) throw new Error(renderReport(report));
}

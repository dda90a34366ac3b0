import type { AdminAction } from "../auth/grants.ts";
import type { Identity } from "../auth/identity.ts";
import { RequestError } from "../protocol/codes.ts";
import { tokenOf } from "../transport/credential.ts";
import type { Request } from "../transport/http/http.ts";

/** Who calls. Every route needs a token. */
export class Caller {
  readonly #cookieName: string | undefined;
  readonly #verify: (token: string) => Identity | Promise<Identity>;

  constructor(cookieName: string | undefined, verify: (token: string) => Identity | Promise<Identity>) {
    this.#cookieName = cookieName;
    this.#verify = verify;
  }

  /** @throws {RequestError} token_missing and those of a token */
  async identify({ head }: Request): Promise<Identity> {
    const token = tokenOf(head, this.#cookieName);
    if (token === undefined) throw new RequestError("token_missing");
    return await this.#verify(token);
  }

  /** Somebody who may do what concerns others. @throws {RequestError} forbidden, and as `identify` */
  async identifyAdmin(request: Request, action: AdminAction): Promise<Identity> {
    const identity = await this.identify(request);
    if (identity.admin.includes(action)) return identity;
    throw new RequestError("forbidden", `nothing allows ${action}`, {
      hint: `would be granted by the claim "admin": ["${action}"] in the token`,
    });
  }
}

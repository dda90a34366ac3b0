import { isUtf8 } from "node:buffer";
import { RequestError } from "../protocol/codes.ts";
import { checkComplexity, isObject, type JsonLimits, parse } from "../protocol/json.ts";
import type { Request } from "../transport/http/http.ts";

export interface Body {
  readonly text: string;
  readonly value: Record<string, unknown>;
}

/**
 * The body of a request: one JSON object.
 * @throws {RequestError} unsupported_media_type, too_big, bad_frame, too_complex
 */
export async function jsonBody(request: Request, limits: JsonLimits): Promise<Body> {
  if (!/^application\/json *(;|$)/i.test(request.head.contentType ?? ""))
    throw new RequestError("unsupported_media_type");
  const body = await request.body();
  const text = isUtf8(body) ? body.toString("utf8") : "";
  checkComplexity(text, limits);
  const value = parse(text);
  if (!isObject(value)) throw new RequestError("bad_frame", "the body is one JSON object in UTF-8");
  return { text, value };
}

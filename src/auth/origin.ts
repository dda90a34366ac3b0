/** Which browsers' pages may speak to us: `*`, `same-origin`, `none`, or exact origins. */
export type OriginRule = "*" | "same-origin" | "none" | readonly string[];

/** An origin as browsers send it: lower case, no path, no default port (RFC 6454 6.2). */
export function isOrigin(text: string): boolean {
  return (
    /^https?:\/\//.test(text) && URL.canParse(text) && !text.includes("*") && new URL(text).origin === text
  );
}

/**
 * Whether a request that carries `origin` may come in. Exact comparison: suffixes, upper case, other schemes,
 * user info and `null` are not the listed origin. A request without `Origin` is not a browser's; whether that is
 * enough is the caller's question (with a cookie it is not).
 *
 * @param own the origin under which this request reached us, for `same-origin`
 */
export function isOriginAllowed(rule: OriginRule, origin: string, own: string): boolean {
  if (rule === "*") return true;
  if (rule === "none") return false;
  return rule === "same-origin" ? origin === own : rule.includes(origin);
}

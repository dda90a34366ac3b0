import { ACTIONS, ADMIN_ACTIONS } from "../../auth/grants.ts";
import { escaped, inline, link, pre, table } from "./html.ts";
import type { OpenApiDocument, Operation, SecurityScheme } from "./http-document.ts";
import type { Section } from "./section.ts";

const ID = "tokens";

const CLAIMS = `{
  "sub": "ann",
  "exp": 2000000000,
  "channels": {"chat-*": ["subscribe", "publish"], "news": ["subscribe"]},
  "admin": ["connections"],
  "info": {"name": "Ann"}
}`;

const list = (words: readonly string[]) => words.map((word) => `\`${word}\``).join(" ");

/** Of each claim what it means. */
const MEANINGS: readonly (readonly [name: string, meaning: string])[] = [
  ["sub", "Required. The user: 1–256 characters."],
  ["exp", "Required. When the token ends, in seconds since the epoch."],
  [
    "channels",
    `By channel what the user may do there: ${list(ACTIONS)}. A \`*\`, at the end, matches any rest; what all matching names allow adds up, and so do the server's rules (TIDEGATE_GRANTS). Nothing else is allowed.`,
  ],
  ["admin", `What concerns others: a list out of ${list(ADMIN_ACTIONS)}, or \`["*"]\`.`],
  ["info", "What others see of the user where presence is kept: any JSON, 512 bytes at most."],
  ["jti", "What this one token can be revoked by: 1–256 characters."],
  ["iat", "When it was issued: a revocation of all of a user's tokens ends those from before."],
  ["iss", "Checked where TIDEGATE_JWT_ISSUER is set."],
  ["aud", "Checked where TIDEGATE_JWT_AUDIENCE is set."],
];

const CALL = `curl http://127.0.0.1:8080/v1/channels/chat-123/events \\
  -H "Authorization: Bearer $TOKEN" \\
  -H "Content-Type: application/json" \\
  -d '{"data":{"text":"hi"}}'`;

/** How to say who one is: where the token goes, and what it says. */
export function tokenSection({ components }: OpenApiDocument): Section {
  const places = Object.values(components.securitySchemes).map((scheme) => [
    `<code class="name">${escaped(placeOf(scheme))}</code>`,
    inline(scheme.description),
  ]);
  const claims = MEANINGS.map(([name, meaning]) => [
    `<code class="name">${escaped(name)}</code>`,
    inline(meaning),
  ]);
  return {
    id: ID,
    title: "Tokens",
    entries: [],
    html: [
      "<p>Who asks, and what they may do, says a JWT that your backend signs. It comes in one of these places.</p>",
      table(["where", "what it is"], places),
      pre(CALL),
      `<p>${inline("`npx tidegate token` prints a token for trying, of a node that has a secret or is in development mode.")}</p>`,
      `<h3>Claims</h3>${pre(CLAIMS)}${table(["claim", "what it is"], claims)}`,
      `<p>${inline("Signed with HS, RS, PS or ES, of 256, 384 or 512 bits: TIDEGATE_JWT_SECRET, TIDEGATE_JWT_PUBLIC_KEY or TIDEGATE_JWKS_URL checks it.")}</p>`,
    ].join("\n"),
  };
}

function placeOf(scheme: SecurityScheme): string {
  return scheme.type === "http" ? "Authorization: Bearer <token>" : `?${scheme.name}=<token>`;
}

/** Whether an operation needs one. */
export function tokenOf(operation: Operation, document: OpenApiDocument): string {
  const ways = operation.security ?? document.security;
  if (ways.length === 0) return "none";
  const optional = ways.some((way) => Object.keys(way).length === 0);
  return link(ID, optional ? "optional" : "required");
}

import { beforeAll, describe, expect, it } from "vitest";
import { asyncApi } from "../src/docs/asyncapi/asyncapi.ts";
import { openApi } from "../src/docs/openapi.ts";
import { OPERATIONS } from "../src/docs/operations/operations.ts";
import { page } from "../src/docs/page/page.ts";
import { STYLE } from "../src/docs/page/style.ts";
import { run } from "./support/run.ts";
import { type GatewayNode, sharedStage } from "./support/servers.ts";
import { token } from "./support/token.ts";

/* What a reader finds on the page, as text; and what the page is for who does not see it. */

const html = page("1.2.3");
const http = openApi("1.2.3");
const frames = asyncApi("1.2.3");

/** What a browser shows of some HTML, in one line. */
function textOf(some: string): string {
  return some
    .replaceAll(/<\/(?:p|li|td|th|tr|dt|dd|h\d|pre)>/g, " ")
    .replaceAll(/<[^>]*>/g, "")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&amp;", "&")
    .replaceAll(/\s+/g, " ")
    .trim();
}

/** One card, by its anchor. */
function card(id: string): string {
  const [, found] = html.split(`<article class="card" id="${id}">`);
  if (found === undefined) throw new Error(`there is no card ${id}`);
  return found.split("</article>")[0] ?? "";
}

/** The row of a field, as text. */
function rowOf(card: string, name: string): string {
  const row = card.split("<tr>").find((one) => one.includes(`<code class="name">${name}</code>`));
  if (row === undefined) throw new Error(`there is no row ${name}`);
  return textOf(row);
}

describe("the section on tokens", () => {
  const section = html.split('<h2 id="tokens">')[1]?.split("</section>")[0] ?? "";
  const examples = [...section.matchAll(/<pre>([\s\S]*?)<\/pre>/g)].map(([, text = ""]) => text);
  const stage = sharedStage();
  let node: GatewayNode;

  beforeAll(async () => {
    node = await stage.node();
  });

  it("stands before everything that needs one, and says where a token goes", () => {
    expect(html.match(/<h2 id="\w+">[^<]*/g)?.[0]).toBe('<h2 id="tokens">Tokens');
    const { securitySchemes } = http.components as {
      securitySchemes: Record<string, { description: string }>;
    };
    const text = textOf(section);
    for (const { description } of Object.values(securitySchemes))
      expect(text).toContain(description.replaceAll("`", ""));
  });

  it("has claims that are accepted, and a request that succeeds with them", async () => {
    const [call = "", example = ""] = examples.map((one) =>
      one.replaceAll(/<[^>]*>/g, "").replaceAll("&quot;", '"'),
    );
    const { sub, channels, exp, ...claims } = JSON.parse(example) as {
      sub: string;
      channels: Record<string, string[]>;
      exp: number;
    };
    expect(exp).toBeGreaterThan(1e9);
    expect(Object.keys(claims)).toEqual(["admin", "info"]);
    const credential = token({ sub, channels, claims });
    expect(call).toContain("http://127.0.0.1:8080/");
    const { stdout, stderr } = await run("sh", ["-c", call.replace("http://127.0.0.1:8080", node.url)], {
      env: { TOKEN: credential },
    });
    expect(JSON.parse(stdout || stderr)).toMatchObject({
      channel: "chat-123",
      listeners: expect.any(Number),
    });
    const explain = `${node.url}/v1/users/ann/connections`;
    const answer = await fetch(explain, { headers: { Authorization: `Bearer ${credential}` } });
    expect(answer.status).toBe(200);
  });
});

describe("an operation", () => {
  it.each(OPERATIONS)("$id says whether it needs a token", ({ id, token }) => {
    expect(textOf(card(`http-${id}`))).toContain(`Token: ${token}.`);
  });

  it.each([
    ["readEvents", "limit", "Default: 100. Else bad_limit."],
    ["readEvents", "since", "Else bad_since."],
    ["publish", "Idempotency-Key", "Else bad_key."],
    ["publish", "channel", "Else bad_channel."],
    ["follow", "channel", "Else bad_frame or bad_channel."],
  ])("%s says of the parameter %s: %s", (id, name, told) => {
    expect(rowOf(card(`http-${id}`), name)).toContain(told);
  });

  it("says which headers come with which answers", () => {
    expect(textOf(card("http-publish"))).toMatch(/X-Request-Id WWW-Authenticate 401 Retry-After 503$/);
    expect(textOf(card("http-connect"))).toContain("Upgrade 426");
    expect(textOf(html)).toContain("Allow string The methods that the path takes. With 405.");
  });

  const bodies = OPERATIONS.filter(({ body }) => body !== undefined);

  it.each(bodies)("$id says of its body what it is, and which fields go together", ({ id, body }) => {
    const text = textOf(card(`http-${id}`)).toLowerCase();
    const { title = "", description = "", allOf = [] } = body as unknown as Described;
    const told = allOf.map(({ "x-rule": rule, "x-error": code }) => `${rule}. Else ${code}.`);
    for (const one of [`${title}. ${description}`, ...told])
      expect(text).toContain(one.replaceAll("`", "").toLowerCase());
  });

  it("has bodies with such rules", () => {
    expect(bodies.filter(({ body }) => "allOf" in (body as object)).map(({ id }) => id)).toEqual([
      "publish",
      "revoke",
    ]);
  });
});

/** What a schema says of itself. */
interface Described {
  readonly title?: string;
  readonly description?: string;
  readonly allOf?: readonly { readonly "x-rule"?: string; readonly "x-error"?: string }[];
}

describe("the rules between fields", () => {
  /** Every rule of an `allOf`, wherever it stands in the documents. */
  function rulesIn(value: unknown): string[] {
    if (typeof value !== "object" || value === null) return [];
    const { allOf = [] } = value as Described;
    const own = allOf.flatMap(({ "x-rule": rule }) => rule ?? []);
    return [...own, ...Object.values(value).flatMap(rulesIn)];
  }

  it("are on the page, all that the documents have", () => {
    const rules = [...new Set([http, frames].flatMap(rulesIn))];
    expect(rules.length).toBeGreaterThan(4);
    const text = textOf(html).toLowerCase();
    expect(rules.filter((rule) => !text.includes(`${rule.replaceAll("`", "").toLowerCase()}.`))).toEqual([]);
  });

  it("are told of what stands within a list too", () => {
    const many = rowOf(card("frame-subscribeMany"), "channels");
    expect(many).toContain("since and last exclude each other. Else bad_frame.");
  });
});

describe("a type", () => {
  it("that clients send says what a wrong one is answered with, however deep it is sent", () => {
    expect(rowOf(card("type-RevocationBody"), "jti")).toContain("Else bad_frame.");
    expect(rowOf(card("type-BatchEvent"), "key")).toContain("Else bad_key.");
    expect(textOf(card("type-ChannelName"))).toContain("Else bad_channel.");
  });

  it("that clients only get does not", () => {
    expect(card("type-PublishAnswer")).not.toContain("Else");
    expect(card("frame-subscribed")).not.toContain("Else");
  });

  it("to which values may be added says those that there are", () => {
    const reasons = textOf(card("type-LossReason"));
    expect(reasons).toContain('one of "trimmed" "forked"');
    expect(reasons).toContain("(others may come)");
  });
});

describe("a code", () => {
  it.each([
    ["not_found", "any request"],
    ["internal", /any request the end of a connection$/],
    ["no_pong", /Met at the end of a connection$/],
    ["unknown_type", /Met at a frame of no known type$/],
    ["no_pong", /Configuration TIDEGATE_HEARTBEAT /],
    ["not_found", "Configuration none"],
  ])("%s says where it is met: %s", (code, where) => {
    expect(textOf(card(code))).toMatch(where);
  });
});

describe("the page", () => {
  it("begins with a way past the contents, which have a name and are not folded", () => {
    const body = html.split("<body>")[1]?.trimStart() ?? "";
    expect(body).toMatch(/^<a class="skip" href="#top">/);
    expect(html).toContain('<nav id="contents" aria-label="Contents">');
    expect(html).not.toMatch(/<details|<summary/);
  });

  it("leads to each of its sections", () => {
    const titles = [...html.matchAll(/<h2 id="(\w+)">/g)].map(([, id]) => id);
    expect(titles).toHaveLength(6);
    const nav = html.split("</nav>")[0] ?? "";
    expect(titles.filter((id) => !nav.includes(`href="#${id}"`))).toEqual([]);
  });

  it("leaves out no level of headings, and has one first", () => {
    const levels = [...html.matchAll(/<h(\d)/g)].map(([, level]) => Number(level));
    expect(levels.slice(0, 2)).toEqual([1, 2]);
    expect(levels.filter((level) => level === 1)).toHaveLength(1);
    expect(levels.filter((level, i) => level > (levels[i - 1] ?? 0) + 1)).toEqual([]);
  });

  it("reads out a method as a word of its own", () => {
    expect(html).not.toMatch(/<\/span><code class="path">/);
    expect(textOf(card("http-publish"))).toMatch(/^POST \/v1\/channels/);
  });

  it("has a rule of style for each of its classes, and no rule for what is not on it", () => {
    const used = new Set(
      [...html.matchAll(/ class="([^"]*)"/g)].flatMap(([, names = ""]) => names.split(" ")),
    );
    const styled = new Set([...STYLE.matchAll(/\.([a-z]+)(?=[^;{}]*\{)/g)].map(([, name = ""]) => name));
    expect([...used].sort()).toEqual([...styled].sort());
    const selectors = STYLE.replaceAll(/[^{}]*:root|@media[^{]*\{|\{[^{}]*\}|\}/g, ",").split(",");
    const elements = new Set(
      selectors.flatMap((one) => one.match(/(?<![.:#\w-])[a-z][a-z0-9]*(?![\w-]*\()/g) ?? []),
    );
    expect(elements.size).toBeGreaterThan(10);
    expect([...elements].filter((name) => !new RegExp(`<${name}[ >]`).test(html))).toEqual([]);
  });

  it("says in its headings of tables what a column is, once", () => {
    expect(html).not.toContain("data-");
    expect(html).toContain('<th scope="col">parameter</th>');
  });
});

describe("the OpenAPI document", () => {
  const resolved = (pointer: string): unknown =>
    pointer
      .slice(2)
      .split("/")
      .reduce<unknown>((value, step) => (value as Record<string, unknown> | undefined)?.[step], http);

  it("refers to nothing that it does not have", () => {
    const references = [...JSON.stringify(http).matchAll(/"\$ref":"(#[^"]*)"/g)].map(([, to = ""]) => to);
    expect(references.length).toBeGreaterThan(300);
    expect([...new Set(references)].filter((to) => resolved(to) === undefined)).toEqual([]);
  });

  it("has each problem once, as an example of its code", () => {
    const { examples } = http.components as { examples: Record<string, { value: { code: string } }> };
    for (const [code, { value }] of Object.entries(examples)) expect(value.code).toBe(code);
    const text = JSON.stringify(http);
    const repeated = Object.keys(examples).filter(
      (code) => text.split(`"urn:tidegate:problem:${code}"`).length > 2,
    );
    // The one of the schema itself.
    expect(repeated).toEqual(["bad_channel"]);
  });

  it("says of every answer but a switch of protocols that it names its request", () => {
    const { responses } = http.components as { responses: object };
    const paths = http.paths as Record<string, Record<string, { responses: Record<string, object> }>>;
    const all = Object.values(paths).flatMap((methods) =>
      Object.values(methods).flatMap((operation) => Object.entries(operation.responses)),
    );
    const without = [...all, ...Object.entries(responses)].filter(
      ([, response]) => !("$ref" in response) && !JSON.stringify(response).includes('"X-Request-Id":'),
    );
    expect(without.map(([status]) => status)).toEqual(["101"]);
  });
});

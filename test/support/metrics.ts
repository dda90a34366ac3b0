import type { GatewayNode } from "./servers.ts";

/** The value of each series, by its name as it stands: `tidegate_connections{transport="websocket"}`. */
export async function scrape(node: GatewayNode): Promise<Map<string, number>> {
  const response = await fetch(`${node.admin}/metrics`);
  const lines = (await response.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(" ");
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

/** One series, 0 when there is none. */
export async function metric(node: GatewayNode, series: string): Promise<number> {
  return (await scrape(node)).get(series) ?? 0;
}

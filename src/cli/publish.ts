/** Publishes one event over HTTP. `data` is JSON, or else a string. @returns what the node answered */
export async function publish(
  url: string,
  token: string,
  event: { channel: string; data: string; type?: string | undefined },
): Promise<string> {
  const type = event.type === undefined ? "" : `"type":${JSON.stringify(event.type)},`;
  const response = await fetch(`${url}/v1/channels/${encodeURIComponent(event.channel)}/events`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: `{${type}"data":${isJson(event.data) ? event.data : JSON.stringify(event.data)}}`,
  }).catch(({ cause }: { cause?: Error & { code?: string } }) => {
    throw new Error(`${url} cannot be reached: ${cause?.message || cause?.code || "no answer"}`);
  });
  const answer = (await response.text()).trim();
  if (!response.ok) throw new Error(`${response.status} ${answer}`);
  return answer;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

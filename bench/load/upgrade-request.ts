/** The handshake of a WebSocket client, as bytes. */
export function upgradeRequest(channels: string[], token: string | null): Buffer {
  const query = channels.map((channel) => `channel=${channel}`).join("&");
  const lines = [
    `GET /ws${query === "" ? "" : `?${query}`} HTTP/1.1`,
    "Host: 127.0.0.1",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  ];
  if (token !== null) lines.push(`Sec-WebSocket-Protocol: tidegate.v1, bearer.${token}`);
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`);
}

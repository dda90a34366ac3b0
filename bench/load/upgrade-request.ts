interface Return {
  /** Asks the balancer for another node. */
  fresh: boolean;
  cookie: string | null;
}

/** The handshake of a WebSocket client, as bytes; `back` of one that was here before. */
export function upgradeRequest(channels: string[], token: string | null, back?: Return): Buffer {
  const asked = channels.map((channel) => `channel=${channel}`);
  if (back?.fresh) asked.push("fresh=1");
  const query = asked.join("&");
  const lines = [
    `GET /ws${query === "" ? "" : `?${query}`} HTTP/1.1`,
    "Host: 127.0.0.1",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  ];
  if (token !== null) lines.push(`Sec-WebSocket-Protocol: tidegate.v1, bearer.${token}`);
  if (back?.cookie) lines.push(`Cookie: ${back.cookie}`);
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`);
}

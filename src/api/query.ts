/** A number in a query, as a frame would have it; what is none comes back as it is, for whoever checks it. */
export function numberIn(query: URLSearchParams, name: string): number | string | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  return /^\d{1,9}$/.test(text) ? Number(text) : text;
}

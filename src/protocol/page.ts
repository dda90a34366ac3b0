/** Bytes of items in one answer, about: below what may be queued for a client. */
export const MAX_PAGE_BYTES = 256 * 1024;

/** As many of the first items as fit: one at least. */
export function fitting<T>(
  items: readonly T[],
  sizeOf: (item: T) => number,
  maxBytes = MAX_PAGE_BYTES,
): readonly T[] {
  let bytes = 0;
  const over = items.findIndex((item, i) => {
    bytes += sizeOf(item);
    return i > 0 && bytes > maxBytes;
  });
  return over < 0 ? items : items.slice(0, over);
}

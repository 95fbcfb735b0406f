// Sizes of messages without encoding them, and pages of lists that fit into one.

/** What a field costs besides its value: its tag, its length and, in a map, those of its entry. */
const FIELD_BYTES = 12;

/**
 * At least the bytes that the value takes as a message. A UTF-16 unit is at most three bytes; to encode a message only
 * to know its size would cost as much as to send it.
 */
export function mostBytes(value: unknown): number {
  if (typeof value === "string") return value.length * 3 + FIELD_BYTES;
  if (value instanceof Uint8Array) return value.byteLength + FIELD_BYTES;
  if (typeof value !== "object" || value === null) return FIELD_BYTES;
  let bytes = FIELD_BYTES;
  if (Array.isArray(value)) {
    for (const item of value) bytes += mostBytes(item);
    return bytes;
  }
  // Keys count as those of a map, which are sent: the names of fields are not, and are short.
  for (const key in value) bytes += key.length + mostBytes(value[key as keyof typeof value]);
  return bytes;
}

/** A page of a list. */
export interface FittedPage<T, M> {
  readonly items: M[];
  /** The last one that is on it; undefined when the list is empty. */
  readonly last: T | undefined;
  /** True when something of the list is not on it. */
  readonly more: boolean;
}

/**
 * As many of the first `limit` as fit into a message, at least one: a page may be shorter than requested.
 *
 * @param found More than `limit` when there is a further page.
 */
export function fitPage<T, M>(
  found: readonly T[],
  limit: number,
  convert: (item: T) => M,
  maxBytes: number,
): FittedPage<T, M> {
  const items: M[] = [];
  let bytes = 0;
  for (const item of found.slice(0, limit)) {
    const message = convert(item);
    bytes += mostBytes(message);
    if (items.length > 0 && bytes > maxBytes) break;
    items.push(message);
  }
  return { items, last: found[items.length - 1], more: items.length < found.length };
}

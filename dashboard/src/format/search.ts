/** The part of an address after `?`: texts by name, as they are typed. */

export function parseSearch(search: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(search));
}

/** Without empty ones. */
export function stringifySearch(search: Record<string, unknown>): string {
  const written = new URLSearchParams();
  for (const [name, value] of Object.entries(search))
    if (typeof value === "string" && value !== "") written.set(name, value);
  const text = written.toString();
  return text === "" ? "" : `?${text}`;
}

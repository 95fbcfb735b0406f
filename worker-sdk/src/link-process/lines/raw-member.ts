/** The text of a member of a JSON object, as it is written: numbers keep all their digits. */

/**
 * The text of the last top-level member of this name; undefined without one.
 *
 * @param json The text of an object, which has been parsed before.
 */
export function rawMember(json: string, name: string): string | undefined {
  let found: string | undefined;
  for (let at = json.indexOf("{") + 1; at < json.length; ) {
    const begin = skipSpace(json, at);
    const character = json[begin];
    if (character === "}" || character === undefined) break;
    if (character === ",") {
      at = begin + 1;
      continue;
    }
    const keyEnd = endOfString(json, begin);
    const value = skipSpace(json, skipSpace(json, keyEnd) + 1);
    const end = endOfValue(json, value);
    if (JSON.parse(json.slice(begin, keyEnd)) === name) found = json.slice(value, end);
    at = end;
  }
  return found;
}

function skipSpace(json: string, from: number): number {
  let at = from;
  while (" \t\r\n".includes(json[at] ?? "-")) at += 1;
  return at;
}

/** Index after the closing quotation mark. */
function endOfString(json: string, from: number): number {
  for (let at = from + 1; at < json.length; at += 1) {
    if (json[at] === "\\") at += 1;
    else if (json[at] === '"') return at + 1;
  }
  return json.length;
}

function endOfValue(json: string, from: number): number {
  const first = json[from];
  if (first === '"') return endOfString(json, from);
  if (first !== "{" && first !== "[") {
    let at = from;
    while (at < json.length && !",}] \t\r\n".includes(json[at] ?? ",")) at += 1;
    return at;
  }
  let depth = 0;
  for (let at = from; at < json.length; at += 1) {
    const character = json[at];
    if (character === '"') at = endOfString(json, at) - 1;
    else if (character === "{" || character === "[") depth += 1;
    else if (character === "}" || character === "]") {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return json.length;
}

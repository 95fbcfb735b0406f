/** Reads JSON into a tree that keeps every number as it is written: a number of JavaScript would lose digits. */

/** A value of JSON. */
export type JsonNode =
  | { readonly kind: "object"; readonly entries: readonly (readonly [name: string, value: JsonNode])[] }
  | { readonly kind: "array"; readonly items: readonly JsonNode[] }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "number" | "literal"; readonly text: string };

const SPACE = /[ \t\n\r]*/y;
const STRING = /"(?:[^"\\]|\\.)*"/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LITERAL = /true|false|null/y;

type Open =
  | { readonly kind: "object"; readonly entries: [string, JsonNode][]; name: string }
  | { readonly kind: "array"; readonly items: JsonNode[] };

/**
 * The tree of a text. Any depth is read, without a stack of calls.
 *
 * @throws SyntaxError when it is no JSON.
 */
export function parseJson(text: string): JsonNode {
  let at = 0;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  const fault = () => new SyntaxError(`character ${at + 1} is not expected in JSON`);
  const mark = (wanted: string): boolean => {
    take(SPACE);
    if (text[at] !== wanted) return false;
    at++;
    return true;
  };
  const name = (): string => {
    take(SPACE);
    const found = take(STRING);
    if (found === undefined || !mark(":")) throw fault();
    return JSON.parse(found) as string;
  };
  const open: Open[] = [];
  for (;;) {
    take(SPACE);
    let node: JsonNode | undefined;
    if (mark("{")) {
      if (!mark("}")) {
        open.push({ kind: "object", entries: [], name: name() });
        continue;
      }
      node = { kind: "object", entries: [] };
    } else if (mark("[")) {
      if (!mark("]")) {
        open.push({ kind: "array", items: [] });
        continue;
      }
      node = { kind: "array", items: [] };
    } else node = scalar(take);
    if (node === undefined) throw fault();
    // Ends every container that ends here.
    for (;;) {
      const parent = open.at(-1);
      if (!parent) {
        take(SPACE);
        if (at < text.length) throw fault();
        return node;
      }
      if (parent.kind === "object") parent.entries.push([parent.name, node]);
      else parent.items.push(node);
      if (mark(",")) {
        if (parent.kind === "object") parent.name = name();
        break;
      }
      if (!mark(parent.kind === "object" ? "}" : "]")) throw fault();
      open.pop();
      node =
        parent.kind === "object"
          ? { kind: "object", entries: parent.entries }
          : { kind: "array", items: parent.items };
    }
  }
}

function scalar(take: (pattern: RegExp) => string | undefined): JsonNode | undefined {
  const text = take(STRING);
  if (text !== undefined) return { kind: "string", value: JSON.parse(text) as string };
  const number = take(NUMBER);
  if (number !== undefined) return { kind: "number", text: number };
  const literal = take(LITERAL);
  return literal === undefined ? undefined : { kind: "literal", text: literal };
}

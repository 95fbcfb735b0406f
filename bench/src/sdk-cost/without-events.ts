import pg from "pg";

// Preloaded into a scheduler with --import: its statements append no events. There is no such setting, for events
// are part of the record; this variant shows what they cost. An insert into the feed becomes a query, which
// PostgreSQL does not run when nothing refers to it.

const APPEND = /insert into event \([^)]*\)\s*select/g;

interface Statement {
  readonly text: string;
}

const original = pg.Client.prototype.query;
const rewritten = new Map<string, string>();

function without(text: string): string {
  const known = rewritten.get(text);
  if (known !== undefined) return known;
  const stripped = text.replace(APPEND, "select");
  rewritten.set(text, stripped);
  return stripped;
}

Reflect.set(
  pg.Client.prototype,
  "query",
  function query(this: pg.Client, first: unknown, ...rest: unknown[]) {
    const changed = isStatement(first) ? { ...first, text: without(first.text) } : first;
    return Reflect.apply(original, this, [changed, ...rest]);
  },
);

function isStatement(value: unknown): value is Statement {
  return typeof value === "object" && value !== null && "text" in value && typeof value.text === "string";
}

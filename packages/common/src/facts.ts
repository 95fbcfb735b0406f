/** Small typed facts about a failure, by name, with their limits. */
import { PHASE_NAME } from "./text/name-forms.ts";
import { cutWellFormed } from "./text/text.ts";

/** The value of a fact. */
export type FactValue = number | string | boolean;

/** Facts by name. */
export type Facts = Readonly<Record<string, FactValue>>;

/** Most facts of a failure. */
export const MAX_FACTS = 16;

/** Longest text of a fact, UTF-16 units; longer text is cut. */
export const MAX_FACT_TEXT = 200;

/** All facts of a failure together as JSON, bytes of UTF-8. */
export const MAX_FACTS_BYTES = 1024;

/** Facts with one more, or why it is left out. */
export type WithFact = { readonly facts: Facts } | { readonly fault: string };

/** Adds a fact, or replaces the one of its name. Text is cut to its limit, and a NUL, which no database keeps, replaced. */
export function withFact(facts: Facts, name: string, value: unknown): WithFact {
  if (!PHASE_NAME.test(name)) return { fault: `its name must match ${PHASE_NAME.source}` };
  const kept = factOf(value);
  if (kept === undefined)
    return {
      fault:
        typeof value === "number"
          ? `it is ${value}, and a number must be finite`
          : `it is a ${typeof value}, and a fact is a number, a text, true or false`,
    };
  if (!Object.hasOwn(facts, name) && Object.keys(facts).length >= MAX_FACTS)
    return { fault: `a failure has at most ${MAX_FACTS} facts` };
  const all = { ...facts, [name]: kept };
  const bytes = Buffer.byteLength(JSON.stringify(all));
  if (bytes > MAX_FACTS_BYTES)
    return { fault: `the facts would take ${bytes} bytes as JSON, and at most ${MAX_FACTS_BYTES} are kept` };
  return { facts: all };
}

/** As many of the facts as there is room for, the first ones first. */
export function mergeFacts(...all: readonly Facts[]): Facts {
  let merged: Facts = {};
  for (const facts of all)
    for (const [name, value] of Object.entries(facts)) {
      if (Object.hasOwn(merged, name)) continue;
      const added = withFact(merged, name, value);
      if ("facts" in added) merged = added.facts;
    }
  return merged;
}

function factOf(value: unknown): FactValue | undefined {
  switch (typeof value) {
    case "string":
      return cutWellFormed(value.replaceAll("\0", "\u{FFFD}"), MAX_FACT_TEXT);
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) ? value : undefined;
    default:
      return undefined;
  }
}

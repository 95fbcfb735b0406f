/** Filters with names, kept in the browser. */
import { readFilters, type TaskFilters } from "./filters.ts";

/** Filters under a name. */
export interface View {
  readonly name: string;
  readonly filters: TaskFilters;
}

/** What a browser keeps; the oldest goes. */
const MOST = 20;

/** Longest name, characters. */
export const LONGEST_NAME = 40;

/** Views of what is stored; what is no view is left out. */
export function readViews(stored: string | null): View[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(stored ?? "[]");
  } catch {
    // Another program's text, or a part of one.
    return [];
  }
  return Array.isArray(parsed) ? parsed.flatMap(toView) : [];
}

function toView(entry: unknown): View[] {
  if (typeof entry !== "object" || entry === null || !("name" in entry) || !("filters" in entry)) return [];
  const { name, filters } = entry;
  if (typeof name !== "string" || typeof filters !== "object" || filters === null) return [];
  const texts = Object.entries(filters).filter(
    (pair): pair is [string, string] => typeof pair[1] === "string",
  );
  return [{ name: name.slice(0, LONGEST_NAME), filters: readFilters(Object.fromEntries(texts)) }];
}

/** The views with another one, which replaces one of its name. */
export function withView(views: readonly View[], added: View): View[] {
  return [...views.filter(({ name }) => name !== added.name), added].slice(-MOST);
}

/** True when they let the same tasks through. */
export function isSame(a: TaskFilters, b: TaskFilters): boolean {
  return JSON.stringify(readFilters({ ...a })) === JSON.stringify(readFilters({ ...b }));
}

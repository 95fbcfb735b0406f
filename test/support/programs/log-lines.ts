/** Checks the log lines of programs. */
import { LOG_EVENTS as SUPERVISOR } from "../../../launcher/src/supervise/log-events.ts";
import { LOG_EVENTS as SCHEDULER } from "../../../scheduler/src/telemetry/logs/events.ts";
import { LOG_EVENTS as WORKER } from "../../../worker-sdk/src/logging/log-events.ts";

const CATALOGUE = [SCHEDULER, SUPERVISOR, WORKER].flatMap((events): [string, string][] =>
  Object.entries(events),
);
const FIXED = Map.groupBy(CATALOGUE, ([name]) => name);
const PATTERNS = CATALOGUE.filter(([name]) => name.includes("<")).map(([name, levels]) => ({
  levels,
  pattern: new RegExp(`^${name.replaceAll(".", "\\.").replace(/<[^>]+>/g, ".+")}$`),
}));

/** First parts of our own events; handlers may log others. */
const OURS = new Set(CATALOGUE.map(([name]) => name.split(".")[0]));

/** What is wrong with a line of JSON that a program of ours has logged; undefined when nothing is. */
export function faultOfLine(
  line: string,
  { event, level }: { event: string; level: unknown },
): string | undefined {
  const [twice] = repeatedKeys(line);
  if (twice !== undefined) return `the key ${twice} stands twice in ${line.slice(0, 500)}`;
  if (!OURS.has(event.split(".")[0] ?? "")) return undefined;
  const levels = [
    ...(FIXED.get(event) ?? []).map(([, each]) => each),
    ...PATTERNS.filter(({ pattern }) => pattern.test(event)).map((each) => each.levels),
  ];
  if (levels.length === 0) return `the event ${event} stands in no catalogue`;
  if (levels.some((each) => each.split(", ").includes(String(level)))) return undefined;
  return `the event ${event} is logged at ${String(level)}, and the catalogue says ${levels.join(" or ")}`;
}

/** Keys that an object of the JSON text has more than once. `JSON.parse` keeps the last of them without a word. */
export function repeatedKeys(text: string): string[] {
  const found: string[] = [];
  const open: (Set<string> | undefined)[] = [];
  const tokens = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g;
  for (const [token, colon] of text.matchAll(tokens)) {
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(undefined);
    else if (token === "}" || token === "]") open.pop();
    else if (colon !== undefined) {
      const keys = open.at(-1);
      const key = String(JSON.parse(token.slice(0, token.lastIndexOf(":"))));
      if (keys?.has(key)) found.push(key);
      keys?.add(key);
    }
  }
  return found;
}

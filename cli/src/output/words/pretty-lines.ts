/** Formats the log lines of a worker for a terminal. */
import { Transform } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import type { Colors } from "../../io/io.ts";
import { oneLine } from "../text.ts";

/** A longer line is not a log line and is passed on unchanged. */
const MAX_LINE = 64 * 1024;

/** Fields that are the same in every line. */
const SAME = new Set([
  "level",
  "time",
  "msg",
  "event",
  "worker_id",
  "pid",
  "uid",
  "gid",
  "cwd",
  "hostname",
  "name",
  "v",
]);

/**
 * Formats JSON log lines, which a worker writes when its output is not a terminal, for reading. Other lines stay
 * unchanged.
 */
export function prettyLines(colors: Colors): Transform {
  const decoder = new StringDecoder("utf8");
  let held = "";
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const lines = `${held}${decoder.write(chunk)}`.split("\n");
      held = lines.pop() ?? "";
      let text = lines.map((line) => `${prettyLine(line, colors)}\n`).join("");
      // A partial line is shown at once unless it may become a log line.
      if (held !== "" && (!held.startsWith("{") || held.length > MAX_LINE)) {
        text += held;
        held = "";
      }
      done(null, text);
    },
    flush(done) {
      done(null, held + decoder.end());
    },
  });
}

/** A line formatted for reading. */
export function prettyLine(line: string, colors: Colors): string {
  const fields = logFields(line);
  if (fields === undefined) return line;
  const { level, time, msg, event } = fields;
  const facts = Object.entries(fields)
    .filter(([name]) => !SAME.has(name))
    .map(([name, value]) => `${name}=${oneLine(typeof value === "string" ? value : JSON.stringify(value))}`);
  const when = typeof time === "string" ? time.slice(11, 23) : "";
  const name = typeof event === "string" && event !== msg ? colors.dim(event) : "";
  const text = typeof msg === "string" && msg !== "" ? oneLine(msg) : "";
  return [colors.dim(when), painted(String(level), colors), text, name, colors.dim(facts.join(" "))]
    .filter((part) => part !== "" && part !== colors.dim(""))
    .join(" ");
}

function logFields(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith("{") || !line.trimEnd().endsWith("}")) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== "object" || value === null || !("level" in value)) return undefined;
    return { ...value };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function painted(level: string, { red, yellow, green, dim }: Colors): string {
  const paint = /error|fatal/.test(level) ? red : level === "warn" ? yellow : level === "debug" ? dim : green;
  return paint(level.toUpperCase());
}

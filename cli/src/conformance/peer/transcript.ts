/** What a worker and the scheduler have said and done in a case, in order, for the report of a failure. */
import { type DescMessage, type MessageShape, toJsonString } from "@bufbuild/protobuf";

/** Characters of a line. */
const MAX_LINE = 240;

/** Lines of a report: the first ones say how the worker registered, the last ones what went wrong. */
const FIRST_LINES = 10;
const LAST_LINES = 60;

/** A line: when, since the case began, and what. */
interface Line {
  readonly atMs: number;
  readonly text: string;
  /** Heartbeats and their acknowledgements: a run of them is shown as a number. */
  readonly beat: boolean;
}

/** Collects lines. */
export class Transcript {
  readonly #lines: Line[] = [];
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  add(text: string, beat = false): void {
    this.#lines.push({ atMs: this.#nowMs(), text, beat });
  }

  /** The lines as text, heartbeats counted. */
  lines(): string[] {
    const shown: string[] = [];
    let heartbeats: Line[] = [];
    const flush = (): void => {
      const [first, last] = [heartbeats[0], heartbeats.at(-1)];
      if (first !== undefined && heartbeats.length <= 2) shown.push(...heartbeats.map(lineOf));
      else if (first !== undefined && last !== undefined)
        shown.push(
          `${time(first.atMs)}  ... ${heartbeats.length} heartbeats and acknowledgements; the last: ${last.text}`,
        );
      heartbeats = [];
    };
    for (const line of this.#lines) {
      if (line.beat) heartbeats.push(line);
      else {
        flush();
        shown.push(lineOf(line));
      }
    }
    flush();
    const cut = shown.length - FIRST_LINES - LAST_LINES;
    return cut <= 0
      ? shown
      : [...shown.slice(0, FIRST_LINES), `... ${cut} lines are left out`, ...shown.slice(-LAST_LINES)];
  }
}

/** A message in one line. */
export function describeMessage<T extends DescMessage>(schema: T, message: MessageShape<T>): string {
  const json = toJsonString(schema, message);
  return json.length > MAX_LINE ? `${json.slice(0, MAX_LINE)}... (${json.length} characters)` : json;
}

function lineOf({ atMs, text }: Line): string {
  return `${time(atMs)}  ${text}`;
}

function time(atMs: number): string {
  return `${(atMs / 1000).toFixed(3).padStart(7)} s`;
}

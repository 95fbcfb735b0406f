/** A startup phase in a log line. */
export interface LoggedPhase {
  readonly phase: string;
  readonly outcome: string;
  readonly elapsedMs: number;
  readonly detail: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** A crash report in a log line. */
export interface LoggedFatal {
  readonly phase: string;
  readonly exceptionClass: string;
  readonly exceptionMessage: string;
  readonly traceback: string;
  readonly exitCode: number;
  /** Empty when the worker does not know the attempt. */
  readonly attemptId: string;
}

/** Phases kept of one launch; a worker has a dozen. */
const MAX_PHASES = 200;

/** Fields of a phase's line that are reported elsewhere. */
const KNOWN = new Set(
  "level time event phase outcome elapsed_ms detail worker_id pid uid gid cwd msg hostname name v".split(" "),
);

/** Longest value of an attribute, in characters. */
const MAX_VALUE = 1_024;

/** Longest time that a startup phase can be reached after, milliseconds: a year. */
const MAX_ELAPSED_MS = 366 * 86_400_000;

/** V8's message before it aborts because its heap is full. */
const HEAP_FULL = /heap out of memory|FATAL ERROR: .*llocation failed/;

/** `    phase: "boot"`, as pino-pretty writes a field below its line. */
const PRETTY_FIELD = /^ {4}([A-Za-z_]+): (.*)$/;

/**
 * Reads startup phases and crash reports from a worker's log: JSON lines, and lines of pino-pretty. Other lines are
 * ignored.
 */
export class WorkerLog {
  readonly #phases: LoggedPhase[] = [];
  readonly #now: () => number;
  #fatal: LoggedFatal | undefined;
  #lastError = "";
  #heapFull = "";
  #pretty: Map<string, unknown> | undefined;

  /** @param now Milliseconds since the process was started, for lines without a time. */
  constructor(now: () => number) {
    this.#now = now;
  }

  get phases(): readonly LoggedPhase[] {
    return this.#phases;
  }

  get fatal(): LoggedFatal | undefined {
    return this.#fatal;
  }

  /** Error of the last failed dial; empty when there was none. */
  get lastError(): string {
    return this.#lastError;
  }

  /** The runtime's line about a full heap; empty when there was none. */
  get heapFull(): string {
    return this.#heapFull;
  }

  /** Reads a line; true when it had new information. */
  take(line: string): boolean {
    if (HEAP_FULL.test(line)) this.#heapFull ||= line.trim().slice(0, MAX_VALUE);
    if (line.startsWith("{")) return this.#flushPretty() || this.#json(line);
    const field = PRETTY_FIELD.exec(stripColours(line));
    if (!field) return this.#flushPretty();
    this.#pretty ??= new Map();
    this.#pretty.set(field[1] ?? "", parsed(field[2] ?? ""));
    return false;
  }

  /** Ends the log. */
  end(): boolean {
    return this.#flushPretty();
  }

  #flushPretty(): boolean {
    const fields = this.#pretty;
    this.#pretty = undefined;
    return fields === undefined ? false : this.#entry(Object.fromEntries(fields));
  }

  #json(line: string): boolean {
    // Most lines are irrelevant, and parsing is expensive.
    if (!line.includes('"worker.')) return false;
    const value = parsed(line);
    return typeof value === "object" && value !== null ? this.#entry({ ...value }) : false;
  }

  #entry(fields: Readonly<Record<string, unknown>>): boolean {
    switch (fields.event) {
      case "worker.startup.phase":
        return this.#phase(fields);
      case "worker.startup_timeout_unregistered":
        this.#lastError = text(fields.last_error) || this.#lastError;
        return this.#phases.some(({ phase }) => phase === TIMED_OUT) || this.#phase(fields);
      case "worker.dial.failed":
        this.#lastError = text(fields.error).slice(0, MAX_VALUE);
        return true;
      case "worker.fatal":
        this.#fatal ??= {
          phase: text(fields.phase),
          exceptionClass: text(fields.exception_class) || "Error",
          exceptionMessage: text(fields.exception_message) || text(fields.msg),
          traceback: text(fields.traceback),
          attemptId: text(fields.attempt_id),
          exitCode: Math.trunc(within(fields.exit_code, 255) ?? 1),
        };
        return true;
      default:
        return false;
    }
  }

  #phase(fields: Readonly<Record<string, unknown>>): boolean {
    const phase = text(fields.phase);
    if (phase === "" || this.#phases.length >= MAX_PHASES) return false;
    this.#phases.push({
      phase: phase.slice(0, 128),
      outcome: text(fields.outcome).slice(0, 128),
      elapsedMs: within(fields.elapsed_ms, MAX_ELAPSED_MS) ?? this.#now(),
      detail: (text(fields.detail) || text(fields.exception_message)).slice(0, MAX_VALUE),
      attributes: Object.fromEntries(
        Object.entries(fields)
          .filter(([name, value]) => !KNOWN.has(name) && name !== "traceback" && text(value) !== "")
          .map(([name, value]) => [name, text(value).slice(0, MAX_VALUE)]),
      ),
    });
    return true;
  }
}

const TIMED_OUT = "startup_timeout_unregistered";

/** A number from 0 to `max`, or its text; undefined for anything else. */
function within(value: unknown, max: number): number | undefined {
  const number = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof number === "number" && number >= 0 && number <= max ? number : undefined;
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

/** The JSON value of a text; the text itself when it is not JSON. */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return line;
    throw error;
  }
}

function stripColours(line: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one.
  return line.replace(/\u001b\[[0-9;]*m/g, "");
}

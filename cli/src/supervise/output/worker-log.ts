/** A startup phase as a log line tells it. */
export interface LoggedPhase {
  readonly phase: string;
  readonly outcome: string;
  readonly elapsedMs: number;
  readonly detail: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Last words as a log line tells them. */
export interface LoggedFatal {
  readonly phase: string;
  readonly exceptionClass: string;
  readonly exceptionMessage: string;
  readonly traceback: string;
  readonly exitCode: number;
  /** Empty when the worker could not tell whose handler raised it. */
  readonly attemptId: string;
}

/** Phases kept of one launch; a worker has a dozen. */
const MAX_PHASES = 200;

/** Fields of a phase's line that are told elsewhere. */
const KNOWN = new Set(
  "level time event phase outcome elapsed_ms detail worker_id pid uid gid cwd msg hostname name v".split(" "),
);

/** Longest value of an attribute, in characters. */
const MAX_VALUE = 1_024;

/** Longest time that a startup phase can be reached after, milliseconds: a year. */
const MAX_ELAPSED_MS = 366 * 86_400_000;

/** What V8 says before it aborts because its heap is full. */
const HEAP_FULL = /heap out of memory|FATAL ERROR: .*llocation failed/;

/** `    phase: "boot"`, as pino-pretty writes a field below its line. */
const PRETTY_FIELD = /^ {4}([A-Za-z_]+): (.*)$/;

/**
 * Reads what a worker's log says about its startup and its end: JSON lines, and those for people (by
 * pino-pretty). Anything else is none of its business.
 */
export class WorkerLog {
  readonly #phases: LoggedPhase[] = [];
  readonly #now: () => number;
  #fatal: LoggedFatal | undefined;
  #lastError = "";
  #heapFull = "";
  #pretty: Map<string, unknown> | undefined;

  /** @param now Milliseconds since the process was started, for lines that do not say. */
  constructor(now: () => number) {
    this.#now = now;
  }

  get phases(): readonly LoggedPhase[] {
    return this.#phases;
  }

  get fatal(): LoggedFatal | undefined {
    return this.#fatal;
  }

  /** Why the last dial failed; empty when none has. */
  get lastError(): string {
    return this.#lastError;
  }

  /** The line by which the runtime said that its heap is full; empty when it has not. */
  get heapFull(): string {
    return this.#heapFull;
  }

  /** Takes a line; true when it said something new. */
  take(line: string): boolean {
    if (HEAP_FULL.test(line)) this.#heapFull ||= line.trim().slice(0, MAX_VALUE);
    if (line.startsWith("{")) return this.#flushPretty() || this.#json(line);
    const field = PRETTY_FIELD.exec(stripColours(line));
    if (!field) return this.#flushPretty();
    this.#pretty ??= new Map();
    this.#pretty.set(field[1] ?? "", parsed(field[2] ?? ""));
    return false;
  }

  /** No more lines come. */
  end(): boolean {
    return this.#flushPretty();
  }

  #flushPretty(): boolean {
    const fields = this.#pretty;
    this.#pretty = undefined;
    return fields === undefined ? false : this.#entry(Object.fromEntries(fields));
  }

  #json(line: string): boolean {
    // Most lines are of other things, and parsing costs.
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

/** A number from 0 to `max`, or a text that is one; anything else that a line may hold is undefined. */
function within(value: unknown, max: number): number | undefined {
  const number = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof number === "number" && number >= 0 && number <= max ? number : undefined;
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

/** The JSON value of a text; the text itself when it is none. */
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

/** Options of a system, the same for its producer and its workers. */
export interface DriverOptions {
  /** Database URL, Redis URL, or scheduler address. */
  readonly target: string;
  /** Settings of the system under measure, as the catalogue gives them. */
  readonly settings: Readonly<Record<string, number>>;
}

/** The payload of every task, for every system: JSON of the wanted size. */
export interface Payload {
  /** When it was submitted, on the clock of `monotonicMs`; 0 when it is not recorded. */
  readonly at: number;
  readonly pad: string;
}

/** A queue system inside a producer process. */
export interface Producer {
  /** How its bulk interface is fastest: tasks in a call, and calls at once. */
  readonly bulk: { readonly batch: number; readonly lanes: number };
  /** Makes tasks durable in one call. */
  submitMany(payloads: readonly Payload[]): Promise<void>;
  /** Makes one task durable, by the call that a web request would make. */
  submitOne(payload: Payload): Promise<void>;
  close(): Promise<void>;
}

/** A queue system inside a worker process. */
export interface Consumer {
  /** Begins to take tasks; called again after `pause`. */
  resume(): Promise<void>;
  /** Takes no more tasks, finishes those under way. */
  pause(): Promise<void>;
  close(): Promise<void>;
}

/** A queue system: loads it in this process and connects. */
export interface Driver {
  produce(options: DriverOptions): Promise<Producer>;
  /** @param onStart Must be called as a handler begins, with the task's payload. */
  consume(options: DriverOptions, onStart: (payload: Payload) => void): Promise<Consumer>;
}

/** A payload whose JSON has `bytes` bytes, when that is enough for the fields. */
export function makePayload(bytes: number, at = 0): Payload {
  const bare = JSON.stringify({ at, pad: "" }).length;
  return { at, pad: "x".repeat(Math.max(0, bytes - bare)) };
}

/** What a system is told, the same for its producer and its workers. */
export interface DriverOptions {
  readonly role: "producer" | "worker";
  /** Database URL, Redis URL, or scheduler address. */
  readonly target: string;
  /** Settings of the system under measure, as the catalogue gives them. */
  readonly settings: Readonly<Record<string, number>>;
  /** Must be called as a handler begins, with the task's payload. */
  readonly onStart: (payload: Payload) => void;
}

/** The payload of every task, for every system: JSON of the wanted size. */
export interface Payload {
  /** When it was submitted, on the clock of `monotonicMs`; 0 when nobody asks. */
  readonly at: number;
  readonly pad: string;
}

/** A queue system inside a producer or worker process. */
export interface Driver {
  /** Makes `count` tasks durable as fast as the system can by its documented means. */
  submit(count: number, payloadBytes: number): Promise<void>;
  /** Makes one task durable. */
  submitOne(payload: Payload): Promise<void>;
  /** Begins to take tasks; called again after `pause`. */
  resume(): Promise<void>;
  /** Takes no more tasks, finishes those under way. */
  pause(): Promise<void>;
  close(): Promise<void>;
}

/** Loads a system in this process. */
export type CreateDriver = (options: DriverOptions) => Promise<Driver>;

/** A payload whose JSON has `bytes` bytes, when that is enough for the fields. */
export function makePayload(bytes: number, at = 0): Payload {
  const bare = JSON.stringify({ at, pad: "" }).length;
  return { at, pad: "x".repeat(Math.max(0, bytes - bare)) };
}

/** Calls `submit` for slices of `count`, several at a time: every bulk interface wants batches. */
export async function inBatches(
  count: number,
  batch: number,
  lanes: number,
  submit: (size: number) => Promise<unknown>,
): Promise<void> {
  let left = count;
  const lane = async () => {
    while (left > 0) {
      const size = Math.min(batch, left);
      left -= size;
      await submit(size);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

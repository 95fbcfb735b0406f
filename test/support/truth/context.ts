/** Input of the checks of tasks, workers and words, and how they read it. */
import type { Explanation, Queue, Reason, Worker } from "@muster/protocol";
import type { Facts, ProcessState, QueueFact, SessionFact, TaskFact } from "./facts.ts";

/** Classes of contradictions; each has a test that shows that it is found. */
export type Kind =
  | "age"
  | "code"
  | "command"
  | "count"
  | "holder"
  | "holds"
  | "nothing-to-do"
  | "plural"
  | "process"
  | "since"
  | "started"
  | "state"
  | "words";

/** What remedies may name. */
export interface Commands {
  /** `why`, `queue resume`, ... */
  readonly names: ReadonlySet<string>;
  /** `--stuck-after`, ... of the CLI and the scheduler. */
  readonly flags: ReadonlySet<string>;
}

/** A check of `doctor`. */
export interface SaidCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly summary: string;
  readonly remedy: string;
  readonly evidence: Reason["evidence"];
}

/** All that a scheduler says, with what was so before and after it said it. */
export interface Look {
  readonly before: Facts;
  readonly after: Facts;
  /** By session id. */
  readonly processes: ReadonlyMap<number, ProcessState>;
  readonly tasks: ReadonlyMap<string, Explanation>;
  readonly workers: ReadonlyMap<string, Explanation>;
  readonly queues: ReadonlyMap<string, Explanation>;
  readonly listedQueues: readonly Queue[];
  readonly listedWorkers: readonly Worker[];
  readonly checks: readonly SaidCheck[];
  /** Attempts of which a handler has noted that it was called, and the workers whose handlers note it. */
  readonly called: ReadonlySet<string>;
  readonly noting: ReadonlySet<string>;
  readonly commands: Commands;
  /** What happened less long ago may be in the scheduler's memory and not in the database, or the reverse. */
  readonly settleMs: number;
}

/** Facts that hold for the whole look. */
export interface Context {
  readonly look: Look;
  readonly tasks: ReadonlyMap<string, TaskFact>;
  readonly sessions: ReadonlyMap<string, SessionFact>;
  readonly queues: ReadonlyMap<string, QueueFact>;
  add(kind: Kind, subject: string, says: string, but: string): void;
}

/** Milliseconds since the epoch of a reason's beginning. */
export function sinceMs({ since }: Pick<Reason, "since">): number | undefined {
  return since && Number(since.seconds) * 1_000 + since.nanos / 1e6;
}

/** The value of the reason's first fact of the key. */
export function factOf(reason: Pick<Reason, "evidence">, key: string): string | undefined {
  return reason.evidence.find((fact) => fact.key === key)?.value;
}

/** Open tasks of the session that came to it and changed long enough ago; undefined while something moves. */
export function heldBy({ look }: Context, sessionId: number): readonly TaskFact[] | undefined {
  const of = (facts: Facts) => facts.tasks.filter((task) => task.sessionId === sessionId);
  const [before, after] = [of(look.before), of(look.after)];
  const moved = [...before, ...after].some(
    ({ assignMs, finishMs }) => Math.max(assignMs ?? 0, finishMs ?? 0) > look.before.now - look.settleMs,
  );
  if (moved || JSON.stringify(before) !== JSON.stringify(after)) return undefined;
  return after.filter(({ state }) => state === "assigned" || state === "running");
}

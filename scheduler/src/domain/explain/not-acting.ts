/** `MECHANISM_NOT_ACTING`: a mechanism would act on the task or worker, and its mode keeps it from that. */
import { MECHANISMS, type MechanismName, type Mode } from "../mechanisms/mechanism.ts";
import type { RetryPolicy } from "../tasks/outcome/retry.ts";
import type { TaskRecord } from "../tasks/task.ts";
import type { Evidence, Reason } from "./reason.ts";
import { shellWord } from "./shell-word.ts";

/** The mode that keeps a mechanism from acting, and where it is set. */
export interface Withheld {
  readonly mode: Exclude<Mode, "act">;
  /** The queue that has the mode; undefined when schedulers have it. */
  readonly queue?: string | undefined;
  /** The schedulers that have it. */
  readonly schedulers: readonly string[];
  /** Since the oldest of their announcements, milliseconds. */
  readonly ageMs: number;
}

/** Mechanisms that do not act for a task or worker. */
export type WithheldModes = Readonly<Partial<Record<MechanismName, Withheld>>>;

/**
 * @param happened What the mechanism would act on.
 * @param not What it does not do, for example `the task is not requeued`.
 * @param meanwhile What else a person may do, as an instruction.
 */
export function mechanismNotActing(
  mechanism: MechanismName,
  withheld: Withheld,
  {
    happened,
    not,
    meanwhile,
  }: { readonly happened: string; readonly not: string; readonly meanwhile: string },
  since: Date | undefined,
  evidence: readonly Evidence[],
): Reason {
  return {
    code: "MECHANISM_NOT_ACTING",
    summary: `${happened}; ${not}, ${becauseOf(mechanism, withheld)}`,
    since,
    evidence: [
      { key: "mechanism", value: mechanism, source: "database" },
      { key: "mode", value: withheld.mode, source: "database", ageMs: withheld.ageMs },
      withheld.queue === undefined
        ? { key: "set_at", value: withheld.schedulers.join(", "), source: "database", ageMs: withheld.ageMs }
        : { key: "set_at", value: `queue ${withheld.queue}`, source: "database" },
      { key: "in_mode_act", value: MECHANISMS[mechanism].does, source: "matcher" },
      ...evidence,
    ],
    remedy: `${toAct(mechanism, withheld)}, or ${meanwhile}`,
  };
}

/** `because recovery is in mode observe at scheduler a`. */
export function becauseOf(mechanism: MechanismName, { mode, queue, schedulers }: Withheld): string {
  return `because ${mechanism} is in mode ${mode} ${queue === undefined ? `at ${schedulersInWords(schedulers)}` : `for queue ${queue}`}`;
}

function schedulersInWords(ids: readonly string[]): string {
  return ids.length === 1 ? `scheduler ${ids[0]}` : `all ${ids.length} schedulers`;
}

function toAct(mechanism: MechanismName, { queue, schedulers }: Withheld): string {
  if (queue !== undefined) return `run \`muster queue set ${shellWord(queue)} --mode ${mechanism}=act\``;
  return `restart ${schedulersInWords(schedulers)} with ${mechanism} in mode act (--modes or MUSTER_MODES)`;
}

/** A queued task whose attempts have used up the retries of its policy. */
export function limitNotActing(
  task: TaskRecord,
  { maxRetries }: RetryPolicy,
  withheld: Withheld | undefined,
): Reason | undefined {
  if (!withheld || task.attemptCount <= maxRetries) return undefined;
  const happened = `${task.attemptCount} attempts failed, and its policy allows ${maxRetries + 1}`;
  return mechanismNotActing(
    "attempt_limits",
    withheld,
    {
      happened,
      not: "the task is tried again",
      meanwhile: `run \`muster cancel t-${task.id}\` to end the task`,
    },
    undefined,
    [
      { key: "attempts", value: String(task.attemptCount), source: "database" },
      { key: "max_retries", value: String(maxRetries), source: "database" },
    ],
  );
}

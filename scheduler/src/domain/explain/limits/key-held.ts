/**
 * `CONCURRENCY_KEY_HELD`: as many tasks as its limit allows hold a key of the task. `OLDER_TASK_FIRST`: an older one goes
 * first for a key with a strict order.
 */
import { formatAttemptId, formatTaskId } from "../../ids.ts";
import type { AskedKey, KeyHolder, OlderTask } from "../../tasks/limits/concurrency.ts";
import { agree, type Evidence, plural, type Reason, span } from "../reason.ts";
import { shellWord } from "../shell-word.ts";

/** Holders that are named in the summary; the evidence has all that are known. */
const MAX_NAMED = 3;

/** Since when this scheduler has known that keys hold the task back. */
export interface HeldSince {
  /** One of them is full. */
  readonly fullSince: Date | undefined;
  /** An older task goes first. */
  readonly behindSince: Date | undefined;
}

/** A reason for each of the task's keys that does not let it start; none when all of them do. */
export function keysHeld(
  keys: readonly AskedKey[],
  { fullSince, behindSince }: HeldSince,
  now: Date,
): Reason[] {
  return keys.flatMap((key) => [
    ...(isFull(key) ? [keyHeld(key, fullSince, now)] : []),
    ...(key.older ? [olderFirst(key.key, key.older, behindSince)] : []),
  ]);
}

function olderFirst(key: string, older: OlderTask, since: Date | undefined): Reason {
  const id = formatTaskId(older.id);
  return {
    code: "OLDER_TASK_FIRST",
    summary: `the concurrency key ${JSON.stringify(key)} starts its tasks in the order of their submission, and the older task ${id} (${older.type} in queue ${older.queue}) waits${older.summary && `: ${older.summary}`}`,
    since: since ?? older.since,
    evidence: [
      { key: "concurrency_key", value: key, source: "database" },
      { key: "older_task", value: id, source: "database" },
      { key: "older_task_type", value: older.type, source: "database" },
      { key: "older_task_queue", value: older.queue, source: "database" },
      ...(older.code === "" ? [] : [{ key: "older_task_code", value: older.code, source: "database" }]),
    ],
    remedy: `it starts by itself after ${id}; for ${id}: ${older.remedy}; if that one is not wanted, run \`muster cancel ${id}\``,
  };
}

/** The operator's limit counts over the task's own. */
function limitOf({ limit, override }: AskedKey): number {
  return override?.limit ?? limit;
}

function isFull(key: AskedKey): boolean {
  return key.held >= limitOf(key);
}

function keyHeld(key: AskedKey, since: Date | undefined, now: Date): Reason {
  const { held, override, holders } = key;
  const name = JSON.stringify(key.key);
  const limit = limitOf(key);
  const setBy = override
    ? `, set ${span(now.getTime() - override.time.getTime())} ago: ${override.reason}`
    : "";
  const evidence: Evidence[] = [
    { key: "concurrency_key", value: key.key, source: "database" },
    { key: "limit", value: String(limit), source: "database" },
    ...(override ? [{ key: "limit_reason", value: override.reason, source: "database" }] : []),
    { key: "held", value: String(held), source: "database" },
    ...holders.map((holder) => ({ key: "holder", value: described(holder, now), source: "database" })),
  ];
  const common = { code: "CONCURRENCY_KEY_HELD", since, evidence } as const;
  if (held === 0)
    return {
      ...common,
      summary: `the limit of the concurrency key ${name} is 0${setBy}`,
      remedy: `run \`muster limit unset ${shellWord(key.key)}\` when the reason is gone`,
    };
  const named = holders.slice(0, MAX_NAMED).map((holder) => described(holder, now));
  const more = held > named.length ? ` and ${plural(held - named.length, "more task")}` : "";
  const [first] = holders;
  const ends =
    held > limit ? "enough of them have ended" : held === 1 ? "that task ends" : "one of them ends";
  const raise = `run \`muster limit set ${shellWord(key.key)} ${limit + 1}\` to let one more start`;
  return {
    ...common,
    summary: `${plural(held, "task")} ${agree(held, ["holds", "hold"])} the concurrency key ${name} with a limit of ${limit}${setBy}: ${named.join("; ")}${more}`,
    remedy: `it starts by itself when ${ends}${first ? `; run \`muster why ${formatTaskId(first.taskId)}\` for the one that has held it the longest` : ""}, or ${raise}`,
  };
}

function described(holder: KeyHolder, now: Date): string {
  const worker = holder.workerId === undefined ? "" : ` on ${holder.workerId}`;
  return `${formatAttemptId(holder)} (${holder.type})${worker} for ${span(now.getTime() - holder.since.getTime())}`;
}

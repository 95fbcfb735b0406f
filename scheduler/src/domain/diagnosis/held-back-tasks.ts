/** Checks of what holds tasks back: paused and full queues, holds, concurrency keys, circuits, paused keys. */
import { agree, IS, plural, span } from "../explain/reason.ts";
import { shellWord } from "../explain/shell-word.ts";
import { formatTaskId } from "../ids.ts";
import { type Circuit, circuitOfLock, lockInWords } from "../tasks/limits/circuit.ts";
import { type Check, fact, found, ok } from "./check.ts";
import { MAX_NAMED, type WorkFacts } from "./work-facts.ts";

export function paused({ pausedQueues, now }: WorkFacts): Check {
  const name = "work.paused";
  const [first] = pausedQueues;
  if (!first) return ok(name, "no queue is paused");
  return found(
    "note",
    name,
    `${plural(pausedQueues.length, "queue", IS)} paused: ${first.name} (${first.reason}) for ${span(now.getTime() - first.since.getTime())}`,
    `run \`muster queue resume ${first.name}\` when the reason is gone`,
    pausedQueues
      .slice(0, MAX_NAMED)
      .map((queue) => fact(queue.name, queue.reason, now.getTime() - queue.since.getTime())),
  );
}

export function held({ held: { count, tasks }, now }: WorkFacts): Check {
  const name = "work.held";
  const [first] = tasks;
  if (!first) return ok(name, "no task is held");
  const id = formatTaskId(first.id);
  return found(
    "note",
    name,
    `${plural(count, "task", IS)} held: ${id} (${first.hold.reason}) for ${span(now.getTime() - first.hold.since.getTime())}`,
    `run \`muster release ${id}\` when the reason is gone; \`muster tasks --detail held\` lists all of them`,
    tasks
      .slice(0, MAX_NAMED)
      .map((task) =>
        fact(formatTaskId(task.id), task.hold.reason, now.getTime() - task.hold.since.getTime()),
      ),
  );
}

export function full({ limitedQueues, now }: WorkFacts): Check {
  const name = "work.full";
  const list = limitedQueues.filter(({ waiting, max }) => waiting >= max);
  const [first] = list;
  if (!first) return ok(name, "no queue is full");
  return found(
    "note",
    name,
    `${plural(list.length, "queue", IS)} full and ${agree(list.length, ["refuses", "refuse"])} submits: ${first.name} (limit ${first.max}, ${first.reason})`,
    `add workers, or run \`muster queue limit ${first.name} none\``,
    list
      .slice(0, MAX_NAMED)
      .map((queue) =>
        fact(queue.name, `limit ${queue.max}, ${queue.reason}`, now.getTime() - queue.since.getTime()),
      ),
  );
}

export function keys({ keyDifferences }: WorkFacts): Check {
  const name = "work.concurrency_keys";
  const [first] = keyDifferences;
  if (!first) return ok(name, "the count of every concurrency key is that of its tasks");
  return found(
    "failed",
    name,
    `the count of ${plural(keyDifferences.length, "concurrency key")} differs from that of the tasks: ${lockInWords(first.key)} is counted ${plural(first.held, "time")} and held by ${plural(first.tasks, "task")}`,
    "wait: a background check corrects it within 5 min; if it returns, report it with the scheduler's log",
    keyDifferences
      .slice(0, MAX_NAMED)
      .map(({ key, held, tasks }) =>
        fact(
          circuitOfLock(key) === undefined ? key : lockInWords(key),
          `counted ${held}, held by ${plural(tasks, "task")}`,
        ),
      ),
  );
}

/** A circuit that is not closed for this long is a fault that does not pass by itself. */
const LONG_OPEN_MS = 15 * 60_000;

export function circuitsOpen({ circuits, now }: WorkFacts): Check {
  const name = "work.circuits";
  if (circuits.length === 0) return ok(name, "no circuit is open");
  const [first] = [...circuits].sort((a, b) => openSince(a) - openSince(b));
  if (!first) return ok(name, "no circuit is open");
  const ageMs = now.getTime() - openSince(first);
  const [last] = first.failures;
  const because = first.openReason ?? (last ? `${last.code} of t-${last.taskId}.${last.epoch}` : "failures");
  return found(
    ageMs >= LONG_OPEN_MS ? "warning" : "note",
    name,
    `${plural(circuits.length, "circuit", IS)} open or half-open: ${JSON.stringify(first.key)} for ${span(ageMs)} (${because})`,
    `fix what the failures name; \`muster circuits\` shows them, and \`muster circuit reset KEY --reason REASON\` closes a circuit`,
    circuits
      .slice(0, MAX_NAMED)
      .map((circuit) =>
        fact(
          circuit.key,
          `${circuit.state}, opened ${plural(circuit.openCount, "time")} in a row`,
          now.getTime() - openSince(circuit),
        ),
      ),
  );
}

export function keysPaused({ pausedKeys: { count, pauses }, now }: WorkFacts): Check {
  const name = "work.keys_paused";
  const [first] = pauses;
  if (!first) return ok(name, "no rate limit key is paused");
  const by = (pause: typeof first) =>
    pause.by === undefined ? pause.reason : `${pause.by}: ${pause.reason}`;
  return found(
    "note",
    name,
    `${plural(count, "rate limit key", IS)} paused: ${JSON.stringify(first.key)} for another ${span(first.leftMs)} (${by(first)})`,
    `wait for their ends; \`muster key resume ${shellWord(first.key)}\` ends the pause now`,
    pauses
      .slice(0, MAX_NAMED)
      .map((pause) =>
        fact(pause.key, `another ${span(pause.leftMs)}, ${by(pause)}`, now.getTime() - pause.time.getTime()),
      ),
  );
}

function openSince({ notClosedSince, since }: Circuit): number {
  return notClosedSince ?? since;
}

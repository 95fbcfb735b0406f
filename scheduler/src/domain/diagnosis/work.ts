/** Checks of tasks and workers. */
import { cut } from "@muster/common/text";
import { CONTEST_REMEDY, contestInWords } from "../explain/contested.ts";
import type { Misfit } from "../explain/never-fits.ts";
import type { LimitedQueueFact } from "../explain/queue-full.ts";
import { agree, HAS, IS, plural, span } from "../explain/reason.ts";
import { rejectionWords, remedyOf } from "../explain/rejected.ts";
import { shellWord } from "../explain/shell-word.ts";
import { formatTaskId } from "../ids.ts";
import { largest } from "../largest.ts";
import type { Coverage } from "../matching/coverage.ts";
import type { TaskClass } from "../matching/match.ts";
import type { FleetReport, WorkerLine } from "../reports.ts";
import { type Circuit, circuitOfLock, lockInWords } from "../tasks/circuit.ts";
import type { Hold } from "../tasks/hold.ts";
import type { KeyPause } from "../tasks/rate-limit.ts";
import { type Contest, processInWords } from "../workers/contest.ts";
import type { OperatorPause } from "../workers/operator-pause.ts";
import { type QuarantineRecord, quarantineInWords } from "../workers/quarantine.ts";
import type { RejectedWorker } from "../workers/rejected-worker.ts";
import { type Check, fact, found, ok } from "./check.ts";

/** A task without a worker is reported after this time: a worker may be starting. */
const UNSERVED_MS = 5_000;

/** With a free eligible slot, a task starts within milliseconds. */
const DELAYED_MS = 30_000;

/** Older rejections are not reported. */
const REFUSED_MS = 3_600_000;

/** A handler that blocks its main loop for this long computes without yielding. */
const BLOCKED_MS = 30_000;

/** Things named in one check. */
const MAX_NAMED = 5;

/** Facts for the checks of tasks and workers. */
export interface WorkFacts {
  readonly fleet: FleetReport;
  readonly classes: readonly Coverage[];
  readonly pausedQueues: readonly { readonly name: string; readonly reason: string; readonly since: Date }[];
  /** Tasks that are held, those that have been for longest first. */
  readonly held: {
    readonly count: number;
    readonly tasks: readonly { readonly id: number; readonly hold: Hold }[];
  };
  /** Queues that have a limit. */
  readonly limitedQueues: readonly LimitedQueueFact[];
  /** Workers that operators have paused. */
  readonly pausedWorkers: readonly ({ readonly workerId: string } & OperatorPause)[];
  /** Workers that are quarantined. */
  readonly quarantinedWorkers: readonly {
    readonly workerId: string;
    readonly quarantine: QuarantineRecord;
  }[];
  readonly rejected: readonly RejectedWorker[];
  /** Supervised starts that failed within the hour, without a later good one; the latest first. */
  readonly failedLaunches: readonly {
    readonly workerId: string;
    readonly reason: string;
    readonly time: Date;
  }[];
  /** Worker ids that two living processes use; the latest first. */
  readonly contests: readonly Contest[];
  /** Concurrency keys whose count differs from their tasks. */
  readonly keyDifferences: readonly { readonly key: string; readonly held: number; readonly tasks: number }[];
  /** Circuits that are not closed. */
  readonly circuits: readonly Circuit[];
  /** Rate limit keys that are paused. */
  readonly pausedKeys: {
    readonly count: number;
    readonly pauses: readonly (KeyPause & { readonly key: string })[];
  };
  /** True for a class of which a concurrency key is held by as many tasks as its limit allows, or a bucket is empty. */
  readonly isKeyHeld: (taskClass: TaskClass) => boolean;
  /** Waiting tasks that cost more than any known worker has. */
  readonly misfits: readonly (Misfit & { readonly taskClass: TaskClass; readonly ready: number })[];
  readonly typeOf: (classId: number) => string;
  /** The database's clock. */
  readonly now: Date;
}

/** Checks of waiting and stuck tasks, and of workers with problems. */
export function workChecks(facts: WorkFacts): Check[] {
  return [
    unserved(facts),
    neverFit(facts),
    delayed(facts),
    paused(facts),
    held(facts),
    full(facts),
    keys(facts),
    circuitsOpen(facts),
    keysPaused(facts),
    stuck(facts),
    failures(facts),
    silent(facts),
    ended(facts),
    workersPaused(facts),
    quarantined(facts),
    blocked(facts),
    refused(facts),
    contested(facts),
    launches(facts),
    sdks(facts),
  ];
}

function unserved({ classes, pausedQueues }: WorkFacts): Check {
  const name = "work.unserved";
  const asleep = new Set(pausedQueues.map((queue) => queue.name));
  const list = classes.filter(
    ({ ready, eligible, taskClass, oldestReadyAgeMs = 0 }) =>
      ready > 0 && eligible === 0 && oldestReadyAgeMs >= UNSERVED_MS && !asleep.has(taskClass.queue),
  );
  const named = largest(list, MAX_NAMED, byAge);
  const [oldest] = named;
  if (!oldest) return ok(name, "every task that waits has a worker that can run it");
  const { type, queue } = oldest.taskClass;
  const total = list.reduce((sum, { ready }) => sum + ready, 0);
  return found(
    "failed",
    name,
    `${plural(total, "task", ["waits", "wait"])} and no worker can run ${agree(total, ["it", "them"])}; the oldest, ${type} in queue ${queue}, has waited for ${span(oldest.oldestReadyAgeMs ?? 0)}`,
    `run \`muster why queue:${queue}\` to see what is missing`,
    named.map(({ taskClass, ready, oldestReadyAgeMs }) => ({
      key: `${taskClass.queue}/${taskClass.type}`,
      value: `${ready} ready${requirements(taskClass.requirements)}`,
      source: "matcher",
      ageMs: oldestReadyAgeMs ?? 0,
    })),
  );
}

function neverFit({ misfits }: WorkFacts): Check {
  const name = "work.never_fits";
  const [first] = misfits;
  if (!first) return ok(name, "no task that waits costs more than every known worker has");
  const { type, queue } = first.taskClass;
  const total = misfits.reduce((sum, { ready }) => sum + ready, 0);
  return found(
    "failed",
    name,
    `${plural(total, "task", ["waits", "wait"])} and no known worker has the capacities; ${type} in queue ${queue}: ${first.summary}`,
    `${first.change}, or submit such tasks with a lower cost`,
    misfits
      .slice(0, MAX_NAMED)
      .map(({ taskClass, ready, summary }) =>
        fact(`${taskClass.queue}/${taskClass.type}`, `${ready} ready; ${summary}`),
      ),
  );
}

function delayed({ classes, pausedQueues, isKeyHeld }: WorkFacts): Check {
  const name = "work.delayed";
  const asleep = new Set(pausedQueues.map((queue) => queue.name));
  const late = classes.filter(
    ({ ready, freeSlots, taskClass, oldestReadyAgeMs = 0 }) =>
      ready > 0 &&
      freeSlots > 0 &&
      oldestReadyAgeMs >= DELAYED_MS &&
      !asleep.has(taskClass.queue) &&
      !isKeyHeld(taskClass),
  );
  const named = largest(late, MAX_NAMED, byAge);
  const [first] = named;
  if (!first) return ok(name, "no task waits beside a free slot");
  const { type, queue } = first.taskClass;
  return found(
    "warning",
    name,
    `${type} in queue ${queue} has waited for ${span(first.oldestReadyAgeMs ?? 0)} although ${plural(first.freeSlots, "eligible slot", IS)} free`,
    "run `muster why queue:NAME`: the concurrency of a type may be reached; otherwise check the logs and loops of the schedulers",
    named.map((each) =>
      fact(
        `${each.taskClass.queue}/${each.taskClass.type}`,
        `${each.ready} ready, ${plural(each.freeSlots, "slot")} free`,
      ),
    ),
  );
}

function byAge(a: Coverage, b: Coverage): number {
  return (b.oldestReadyAgeMs ?? 0) - (a.oldestReadyAgeMs ?? 0);
}

function paused({ pausedQueues, now }: WorkFacts): Check {
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

function held({ held: { count, tasks }, now }: WorkFacts): Check {
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

function full({ limitedQueues, now }: WorkFacts): Check {
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

function workersPaused({ pausedWorkers, now }: WorkFacts): Check {
  const name = "workers.paused";
  const [first] = [...pausedWorkers].sort((a, b) => a.since.getTime() - b.since.getTime());
  if (!first) return ok(name, "no worker is paused by an operator");
  return found(
    "note",
    name,
    `${plural(pausedWorkers.length, "worker", IS)} paused by operators: ${first.workerId} (${first.reason}) for ${span(now.getTime() - first.since.getTime())}`,
    `run \`muster worker resume ${first.workerId}\` when the reason is gone`,
    pausedWorkers
      .slice(0, MAX_NAMED)
      .map(({ workerId, reason, since }) => fact(workerId, reason, now.getTime() - since.getTime())),
  );
}

function quarantined({ quarantinedWorkers, now }: WorkFacts): Check {
  const name = "workers.quarantined";
  const [first] = quarantinedWorkers;
  if (!first) return ok(name, "no worker is quarantined");
  return found(
    "warning",
    name,
    `${plural(quarantinedWorkers.length, "worker", IS)} quarantined: ${first.workerId} (${quarantineInWords(first.quarantine)}) for ${span(now.getTime() - first.quarantine.since.getTime())}`,
    `run \`muster why ${first.workerId}\` for what fails there, and check its log and its machine`,
    quarantinedWorkers
      .slice(0, MAX_NAMED)
      .map(({ workerId, quarantine }) =>
        fact(workerId, quarantineInWords(quarantine), now.getTime() - quarantine.since.getTime()),
      ),
  );
}

function keys({ keyDifferences }: WorkFacts): Check {
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

function circuitsOpen({ circuits, now }: WorkFacts): Check {
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

function keysPaused({ pausedKeys: { count, pauses }, now }: WorkFacts): Check {
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

function stuck({ fleet: { stuckCount, running }, typeOf }: WorkFacts): Check {
  const name = "work.stuck";
  const [oldest] = running;
  if (stuckCount === 0 || !oldest) return ok(name, "no task is stuck");
  const where = oldest.phase ? `in ${oldest.phase}` : "without a named phase";
  return found(
    "warning",
    name,
    `${plural(stuckCount, "task", IS)} stuck; the longest is t-${oldest.taskId} (${typeOf(oldest.classId)}) on ${oldest.workerId || "its worker"}, ${where} for ${span(oldest.ageMs)}`,
    `run \`muster why t-${oldest.taskId}\`; it is not killed unless the task has a hard timeout`,
    running
      .slice(0, Math.min(stuckCount, MAX_NAMED))
      .map((task) =>
        fact(
          "task",
          `t-${task.taskId} ${typeOf(task.classId)} ${task.phase} on ${task.workerId}`,
          task.ageMs,
        ),
      ),
  );
}

function failures({ fleet: { failureCount, failures: list }, typeOf }: WorkFacts): Check {
  const name = "work.failures";
  const [latest] = list;
  if (failureCount === 0 || !latest) return ok(name, "no task failed within the hour");
  return found(
    "note",
    name,
    `${plural(failureCount, "task")} failed within the hour, the last ${span(latest.ageMs)} ago: t-${latest.taskId} (${typeOf(latest.classId)}) with ${latest.failureCode}`,
    "run `muster tasks --state failed` to list them",
    list
      .slice(0, MAX_NAMED)
      .map((task) =>
        fact("task", `t-${task.taskId} ${typeOf(task.classId)} ${task.failureCode}`, task.ageMs),
      ),
  );
}

function silent({ fleet: { groups } }: WorkFacts): Check {
  const name = "workers.answering";
  const count = (state: string) =>
    groups.filter((group) => group.state === state).reduce((sum, group) => sum + group.workers, 0);
  const total = groups.reduce((sum, { workers }) => sum + workers, 0);
  const suspects = count("suspect");
  if (suspects === 0) {
    return ok(
      name,
      total === 0
        ? "no worker is connected"
        : `${plural(total, "worker", ["answers", "answer"])}, ${count("ready")} ${agree(count("ready"), IS)} ready`,
    );
  }
  return found(
    "warning",
    name,
    `${suspects} of ${plural(total, "worker")} ${agree(suspects, ["does", "do"])} not answer`,
    "run `muster workers --state suspect` to list them; they reconnect, or their tasks are requeued when their grace ends",
  );
}

function ended({ fleet: { workers } }: WorkFacts): Check {
  const name = "workers.ended";
  const list = workers.filter(({ goneReason }) => goneReason !== "");
  const [latest] = list;
  if (!latest) return ok(name, "no worker failed within the hour");
  return found(
    "warning",
    name,
    `${plural(list.length, "worker")} failed within the hour and ${agree(list.length, HAS)} not reconnected: ${latest.workerId} ${how(latest)} ${span(latest.silentMs ?? 0)} ago`,
    `run \`muster why ${latest.workerId}\` for the cause`,
    list
      .slice(0, MAX_NAMED)
      .map((worker) => fact("worker", `${worker.workerId} ${how(worker)}`, worker.silentMs)),
  );
}

function blocked({ fleet: { workers } }: WorkFacts): Check {
  const name = "workers.blocked";
  const list = workers.filter(({ loopAgeMs }) => loopAgeMs >= BLOCKED_MS);
  const [worst] = list.toSorted((a, b) => b.loopAgeMs - a.loopAgeMs);
  if (!worst) return ok(name, "no worker's main loop is blocked");
  return found(
    "warning",
    name,
    `the main loop of ${plural(list.length, "worker")} is blocked, of ${worst.workerId} for ${span(worst.loopAgeMs)}`,
    `run \`muster why ${worst.workerId}\` for the task and its phase; move the computation to a thread`,
    list.slice(0, MAX_NAMED).map(({ workerId, loopAgeMs }) => fact("worker", workerId, loopAgeMs)),
  );
}

function refused({ rejected, now }: WorkFacts): Check {
  const name = "workers.refused";
  const recent = rejected.filter(
    ({ lastTime, holder }) => holder !== "another" && now.getTime() - lastTime.getTime() <= REFUSED_MS,
  );
  const [latest] = recent;
  if (!latest) {
    const old = rejected.length > 0 ? `; ${plural(rejected.length, "older refusal", IS)} stored` : "";
    return ok(name, `no worker was refused within the hour${old}`);
  }
  const workers = new Set(recent.map(({ workerId }) => workerId));
  return found(
    "warning",
    name,
    `${plural(workers.size, "worker", ["was", "were"])} refused within the hour, ${latest.workerId} last, ${span(now.getTime() - latest.lastTime.getTime())} ago (${latest.code}: ${rejectionWords(latest.code)})`,
    `${remedyOf(latest)}; run \`muster workers --state refused\` to list them`,
    recent
      .slice(0, MAX_NAMED)
      .map(({ workerId, code, count, peer, lastTime }) =>
        fact(
          "refused_worker",
          `${workerId} ${code} ${plural(count, "time")} from ${peer}`,
          now.getTime() - lastTime.getTime(),
        ),
      ),
  );
}

function contested({ contests, now }: WorkFacts): Check {
  const name = "workers.contested";
  const [first] = contests;
  if (!first) return ok(name, "no worker id is used by two living processes");
  const more = contests.length > 1 ? `; ${contests.length - 1} more ids likewise` : "";
  return found(
    "warning",
    name,
    `${contestInWords(first, now)}${more}`,
    CONTEST_REMEDY,
    contests
      .slice(0, MAX_NAMED)
      .map(({ workerId, holder, other, askedTime }) =>
        fact(
          workerId,
          `${processInWords(holder)} and ${processInWords(other)}`,
          now.getTime() - askedTime.getTime(),
        ),
      ),
  );
}

/** Workers of several releases are normal; the check lists them. */
function sdks({ fleet: { groups } }: WorkFacts): Check {
  const name = "versions.workers";
  const counts = new Map<string, number>();
  for (const { sdk, workers } of groups)
    counts.set(sdk || "unnamed", (counts.get(sdk || "unnamed") ?? 0) + workers);
  const byName = Map.groupBy(counts.keys(), (sdk) => sdk.split(" ")[0] ?? "");
  const mixed = [...byName].filter(([, list]) => list.length > 1);
  const evidence = [...counts]
    .slice(0, 20)
    .map(([sdk, workers]) => fact("workers", `${workers} with ${sdk}`));
  const [first] = mixed;
  if (!first)
    return ok(
      name,
      counts.size === 0
        ? "no worker is connected"
        : `workers run ${[...counts.keys()].slice(0, MAX_NAMED).join(", ")}`,
      evidence,
    );
  return found(
    "note",
    name,
    `workers run ${first[1].length} versions of ${first[0]}`,
    "finish the upgrade of the workers",
    evidence,
  );
}

function launches({ failedLaunches, now }: WorkFacts): Check {
  const name = "workers.launches";
  const [latest] = failedLaunches;
  if (!latest) return ok(name, "no supervised start has failed within the hour");
  return found(
    "warning",
    name,
    `${plural(failedLaunches.length, "supervised worker")} failed to start or to run within the hour; ${latest.workerId} was the last, ${span(now.getTime() - latest.time.getTime())} ago (${latest.reason})`,
    `run \`muster why ${latest.workerId}\` for the cause and the last output`,
    failedLaunches
      .slice(0, MAX_NAMED)
      .map(({ workerId, reason, time }) => fact(workerId, reason, now.getTime() - time.getTime())),
  );
}

function how({ goneReason, fatal }: WorkerLine): string {
  return fatal === "" ? goneReason : `${goneReason} (${cut(fatal, 120)})`;
}

function requirements({ labels, resources }: Coverage["taskClass"]["requirements"]): string {
  const wants = [...Object.entries(labels).map(([name, value]) => `${name}=${value}`), ...resources];
  return wants.length === 0 ? "" : `, wants ${wants.join(", ")}`;
}

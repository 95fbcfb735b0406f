/** Compares what schedulers say with the database and the processes. */
import type { Explanation, Queue, Worker } from "@muster/protocol";
import { type Context, factOf, heldBy, type Kind, type Look, type SaidCheck } from "./context.ts";
import type { Facts, SessionFact } from "./facts.ts";
import { checkTask } from "./task-contradictions.ts";
import { checkWords } from "./words.ts";
import { checkWorker } from "./worker-contradictions.ts";

/** A statement that the database or the processes deny. */
export interface Contradiction {
  readonly kind: Kind;
  /** What the statement is about. */
  readonly subject: string;
  /** The statement. */
  readonly says: string;
  /** What is so. */
  readonly but: string;
}

/** Every contradiction. Only what did not change between `before` and `after` is judged. */
export function contradictionsIn(look: Look): Contradiction[] {
  const found: Contradiction[] = [];
  const add = (kind: Kind, subject: string, says: string, but: string) =>
    found.push({ kind, subject, says, but });
  const tasks = unchanged(look.before.tasks, look.after.tasks, ({ id }) => id);
  const sessions = unchanged(
    look.before.sessions,
    look.after.sessions,
    ({ workerId }) => workerId,
    whatLasts,
  );
  const queues = unchanged(look.before.queues, look.after.queues, ({ name }) => name);
  const context: Context = { look, tasks, sessions, queues, add };
  for (const [id, explanation] of look.tasks) {
    const task = tasks.get(id);
    if (task) checkTask(context, task, explanation);
  }
  for (const [id, explanation] of look.workers) {
    const session = sessions.get(id);
    if (session) checkWorker(context, session, explanation);
  }
  for (const said of look.listedQueues) checkListedQueue(context, said);
  for (const said of look.listedWorkers) checkListedWorker(context, said);
  for (const [name, explanation] of look.queues) checkQueue(context, name, explanation);
  for (const explanation of [...look.tasks.values(), ...look.workers.values(), ...look.queues.values()]) {
    for (const reason of explanation.reasons) checkWords(context, explanation.subject, reason);
  }
  for (const check of look.checks) checkCheck(context, check);
  return found;
}

/** Heartbeats renew these all the time. */
function whatLasts({ heartbeatMs: _, leaseUntilMs: __, ...session }: SessionFact): unknown {
  return session;
}

function unchanged<T>(
  before: readonly T[],
  after: readonly T[],
  keyOf: (fact: T) => string,
  lasting: (fact: T) => unknown = (fact) => fact,
): Map<string, T> {
  const old = new Map(before.map((fact) => [keyOf(fact), JSON.stringify(lasting(fact))]));
  return new Map(
    after
      .filter((fact) => old.get(keyOf(fact)) === JSON.stringify(lasting(fact)))
      .map((fact) => [keyOf(fact), fact]),
  );
}

function checkListedWorker(context: Context, { id, activeCount, goneReason }: Worker): void {
  const session = context.sessions.get(id);
  if (!session || session.goneMs !== null || goneReason !== "") return;
  const held = heldBy(context, session.sessionId);
  if (held === undefined || held.length === activeCount) return;
  const but = `it holds ${held.length}: ${held.map((task) => task.id).join(", ")}`;
  context.add("count", id, `ListWorkers: ${activeCount} active`, but);
}

function checkListedQueue({ look, queues, add }: Context, said: Queue): void {
  const fact = queues.get(said.name);
  if (!fact) return;
  // The counts before and after are equal too when a task began and ended in between.
  const moved = hasMoved(look, said.name, look.settleMs);
  const subject = `queue:${said.name}`;
  const compare = (what: string, count: number, real: number) => {
    if (count !== real)
      add("count", subject, `ListQueues: ${count} ${what}`, `the database has ${real} ${what}`);
  };
  if (!moved) {
    compare("ready", Number(said.readyCount), fact.ready);
    compare("scheduled", Number(said.scheduledCount), fact.scheduled);
    compare("active", Number(said.activeCount), fact.active);
  }
  if (said.paused !== (fact.pauseMs !== null))
    add("state", subject, `ListQueues: paused ${said.paused}`, `its pause_time is ${fact.pauseMs}`);
}

function checkQueue(context: Context, name: string, { subject, state, reasons }: Explanation): void {
  const { look, queues, add } = context;
  const fact = queues.get(name);
  if (!fact || reasons.some(({ code }) => code === "DATABASE_UNAVAILABLE")) return;
  if ((state === "paused") !== (fact.pauseMs !== null))
    add("state", subject, `its state is ${state}`, `its pause_time is ${fact.pauseMs}`);
  // Depths of explanations may be half a second old.
  if (hasMoved(look, name, Math.max(1_000, look.settleMs))) return;
  const empty = reasons.some(({ code }) => code === "IDLE_NO_WORK");
  if (empty && fact.ready > 0)
    add("count", subject, "nothing that could start now waits in it", `${fact.ready} tasks of it are ready`);
  for (const reason of reasons) {
    const ready = factOf(reason, "ready_tasks");
    if (ready !== undefined && Number(ready) !== fact.ready)
      add("count", subject, `${reason.code}: ready_tasks ${ready}`, `${fact.ready} tasks of it are ready`);
  }
}

/** True when a task of the queue has changed its state since `forMs` before the look. */
function hasMoved({ before, after }: Look, queue: string, forMs: number): boolean {
  return [...before.tasks, ...after.tasks].some(
    (task) =>
      task.queue === queue &&
      Math.max(
        task.createMs,
        task.assignMs ?? 0,
        task.returnedMs ?? 0,
        task.finishMs ?? 0,
        task.wakeMs ?? 0,
      ) >
        before.now - forMs,
  );
}

function checkCheck(context: Context, { name, ok, summary, remedy, evidence }: SaidCheck): void {
  const { look, add } = context;
  const subject = `doctor ${name}`;
  checkWords(context, subject, { code: name, summary, remedy, evidence, since: undefined });
  const stable = <T>(pick: (facts: Facts) => T): T | undefined => {
    const [a, b] = [pick(look.before), pick(look.after)];
    return JSON.stringify(a) === JSON.stringify(b) ? b : undefined;
  };
  const count = Number(/^(\d+) /.exec(summary)?.[1] ?? Number.NaN);
  const compare = (real: number | undefined, what: string) => {
    if (real === undefined) return;
    const says = ok ? 0 : count;
    if (!Number.isNaN(says) && says !== real)
      add("count", subject, summary, `the database has ${real} ${what}`);
  };
  if (name === "work.paused") {
    compare(
      stable(({ queues }) => queues.filter(({ pauseMs }) => pauseMs !== null).length),
      "paused queues",
    );
  }
  if (name === "workers.answering" && ok && !Number.isNaN(count)) {
    const living = stable(({ sessions }) => sessions.filter(({ goneMs }) => goneMs === null).length);
    if (living !== undefined && living !== count)
      add("count", subject, summary, `the database has ${living} living workers`);
  }
  if (name === "database.reachable" && !ok && summary.startsWith("DATABASE_UNAVAILABLE"))
    add("state", subject, summary, "the database answered and took reads before and after");
}

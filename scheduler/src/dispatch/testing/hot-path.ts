/** The hot path as `createDispatch` wires it, on a store in memory, with a clock that the test moves and injected faults. */
import { formatAttemptId } from "../../domain/ids.ts";
import type { Outcome } from "../../domain/tasks/outcome/outcome.ts";
import type { NewTask } from "../../domain/tasks/task.ts";
import type { InsertedTask, NewEvent, Store } from "../../store/store.ts";
import { Faults } from "../../store/testing/faults.ts";
import { NO_REQUIREMENTS, newTask } from "../../store/testing/made-rows.ts";
import { memoryStore } from "../../store/testing/memory/memory-store.ts";
import { MemoryTables } from "../../store/testing/memory/memory-tables.ts";
import { silentLogger } from "../../telemetry/logs/logger.ts";
import { noTracing } from "../../telemetry/spans/tracing.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { createDispatch, type Dispatch } from "../dispatch.ts";
import type { Session } from "../sessions/session.ts";
import { madeSession, type SessionPlan } from "./made-session.ts";

/** The scheduler of the hot path. */
export const SELF = "self";

/** One type with one class, for tests that need no more. */
export const TYPE = "echo";

/** The wait that counts as much as one level of priority. */
export const AGEING_MS = 3_600_000;

export class HotPath {
  readonly clock = new ManualClock();
  readonly tables = new MemoryTables(this.clock);
  readonly faults = new Faults();
  /** The roles without faults, as another scheduler uses them. */
  readonly store = memoryStore(this.tables);
  /** What was sent to workers, in order: `w-1 assign t-1.1 t-2.1` for a frame, `w-1 ack t-1.1`, `w-1 stale t-1.1`. */
  readonly sent: string[] = [];
  /** Log events of info, warn and error. */
  readonly logged: string[] = [];
  /** Waits of tasks that may not start at once, milliseconds. */
  readonly scheduled: number[] = [];
  /** Classes of the hints that were sent to other schedulers. */
  readonly hints: (readonly number[])[] = [];
  readonly dispatch: Dispatch;

  constructor() {
    const keep = (event: string) => void this.logged.push(event);
    const others = {
      appendEvents: async (_: readonly NewEvent[]) => undefined,
      notify: async ({ classIds }: { classIds: readonly number[] }) => void this.hints.push(classIds),
    };
    const { classes, claims, attempts, circuits } = this.store;
    const roles = [classes, claims, attempts, circuits, others];
    this.dispatch = createDispatch({
      store: joined(roles.map((role) => this.faults.wrap(role))),
      clock: this.clock,
      log: { ...silentLogger, info: keep, warn: keep, error: keep },
      leases: { heartbeatMs: 5_000, leaseMs: 15_000, graceMs: 15_000, acceptDeadlineMs: 10_000 },
      watch: { stuckAfterMs: 300_000, unstartedAfterMs: 60_000, phasesMs: {} },
      schedulerId: SELF,
      maxLabelSets: 10,
      intervals: { queueViewMs: 1_000, resourceMs: 1_000, resourceWarnMs: 60_000 },
      ageingMs: AGEING_MS,
      onScheduled: (delayMs) => this.scheduled.push(delayMs),
      tracing: noTracing,
    });
  }

  /** A worker with a session of this scheduler; its types are `TYPE` without a limit unless they are given. */
  worker(plan: Partial<Omit<SessionPlan, "id">> = {}): Session {
    const id = this.tables.openSession(SELF);
    const send = (what: string) => void this.sent.push(`w-${id} ${what}`);
    const session = madeSession({
      types: { [TYPE]: 0 },
      ...plan,
      id,
      link: {
        assign: (assignments) =>
          send(`assign ${assignments.map(({ key }) => formatAttemptId(key)).join(" ")}`),
        ackResults: (acks) => {
          for (const { key, stale } of acks) send(`${stale ? "stale" : "ack"} ${formatAttemptId(key)}`);
        },
        revoke: (key) => send(`revoke ${formatAttemptId(key)}`),
        ...plan.link,
      },
    });
    this.dispatch.registry.add(session);
    this.dispatch.classes.addSession(session);
    this.dispatch.dispatcher.pump();
    return session;
  }

  /** Tasks that wait in the store without a hint to this scheduler; returns their ids. */
  async waiting(count: number, fields: Partial<NewTask> = {}): Promise<number[]> {
    const type = fields.type ?? TYPE;
    const queue = fields.queue ?? "default";
    const { concurrency, rateLimits, fairness } = fields;
    const [made] = await this.store.classes.resolveClasses([
      { queue, type, requirements: NO_REQUIREMENTS, concurrency, rateLimits, fairness },
    ]);
    const inserted = await this.store.claims.insertTasks(
      Array.from({ length: count }, () => ({
        task: newTask({ type, ...fields }),
        classId: made?.id ?? 0,
        assignTo: undefined,
      })),
    );
    return inserted.map(({ id }) => id);
  }

  /** Reads the classes and checks all of them, as a poll does. */
  async poll(): Promise<void> {
    await this.dispatch.classes.learn();
    this.dispatch.dispatcher.lookAgain();
    await this.clock.pass(0);
  }

  /** Submits tasks of `TYPE`. */
  submit(count = 1, fields: Partial<NewTask> = {}): Promise<InsertedTask[]> {
    return this.dispatch.submitter.submit(
      Array.from({ length: count }, () => newTask({ type: TYPE, ...fields })),
    );
  }

  /** The worker reports the end of attempts that it holds, in one frame. */
  report(session: Session, taskIds: readonly number[], outcome: Outcome): void {
    const results = taskIds.map((taskId) => {
      const attempt = session.attempts.get(taskId);
      if (!attempt) throw new Error(`${session.workerId} does not hold task ${taskId}`);
      return { key: { taskId, epoch: attempt.epoch }, outcome, metrics: undefined };
    });
    this.dispatch.committer.commitResults(session, results);
  }

  /** Takes what was sent since the last call. */
  takeSent(): string[] {
    return this.sent.splice(0);
  }

  /** How many rows each call of a method had. */
  batchSizes(method: string): number[] {
    return this.faults.callsOf(method).map(([rows]) => (rows as readonly unknown[]).length);
  }
}

/** One store of several roles; a method of no role fails by its name. */
function joined(roles: readonly object[]): Store {
  return new Proxy({} as Store, {
    get(_, name) {
      const role = roles.find((each) => name in each);
      if (!role) throw new Error(`the store in memory has no ${String(name)}`);
      return Reflect.get(role, name);
    },
  });
}

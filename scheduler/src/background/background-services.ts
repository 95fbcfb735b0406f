import type { Clock } from "../clock.ts";
import type { Config } from "../config/config.ts";
import type { DescriptorUse } from "../descriptors.ts";
import type { Dispatch } from "../dispatch/dispatch.ts";
import { LeaseExpiryGuard } from "../dispatch/sessions/lease-expiry-guard.ts";
import type { SchedulerStatus } from "../domain/reports.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logs/logger.ts";
import { AttemptWatchdog } from "./attempt-watchdog.ts";
import { Loop } from "./loop.ts";
import { loopStatuses } from "./loop-status.ts";
import { monitorOnce } from "./monitor.ts";

/** A renewal that comes this many heartbeats late counts as starved. */
const STARVED_AFTER_BEATS = 3;

/** Tasks woken or failed in one statement. */
const SWEEP_BATCH = 1_000;

/** How often deadlines of attempts are looked at. */
const DEADLINE_CHECK_MS = 100;

const RETENTION_MS = 3_600_000;

/** How often classes are looked at for open tasks that no hint told of, and for those that nobody uses any more. */
const CLASSES_MS = 60_000;

/** How often it is made sure that the coming days have partitions. */
const PARTITIONS_MS = 60_000;

/** A lead is held for this many rounds of the loop that takes it. */
const LEAD_ROUNDS = 3;

/** Nothing is lost by it: rows of a day without a partition land in the default one. */
const locked = (what: string, again: string) =>
  `partitions were not ${what}, because another session holds a lock on them (a backup, a long query): tried again in ${again}`;

/** A scheduler that has not said for this long that it lives is taken for dead, milliseconds. */
export function announceLeaseMs({ leases }: Pick<Config, "leases">): number {
  return Math.max(3_000, leases.leaseMs);
}

/** Everything the scheduler does by itself, again and again. */
export class BackgroundServices {
  readonly #loops: readonly Loop[];
  readonly #waker: Loop;
  readonly #poll: Loop;
  readonly #classes: Loop;
  readonly #clock: Clock;
  readonly #config: Config;
  readonly #descriptors: () => DescriptorUse;
  readonly #startedAt: number;
  readonly #guard: LeaseExpiryGuard;
  #cancelWake: () => void = () => undefined;
  #nextWakeAt = Number.POSITIVE_INFINITY;

  constructor(parts: {
    config: Config;
    descriptors: () => DescriptorUse;
    store: Store;
    dispatch: Dispatch;
    clock: Clock;
    log: Logger;
    scheduler: { id: string; address: string; version: string };
    /** Looks at the database, and at what else readiness asks. */
    onLook: () => Promise<void>;
  }) {
    const { config, store, dispatch, clock, log, scheduler, onLook } = parts;
    const { leases } = config;
    this.#clock = clock;
    this.#config = config;
    this.#descriptors = parts.descriptors;
    this.#startedAt = clock.monotonic();
    const guard = new LeaseExpiryGuard(clock, leases.leaseMs, leases.heartbeatMs * STARVED_AFTER_BEATS);
    this.#guard = guard;
    const watchdog = new AttemptWatchdog({ dispatch, log, leases, settings: config.watch });
    const loop = (name: string, intervalMs: number, runOnce: () => Promise<void> | void) =>
      new Loop({ name, intervalMs, runOnce, clock, log });

    this.#waker = loop("wake", config.pollMs, async () => {
      await wakeOnce(store, dispatch);
    });
    this.#poll = loop("poll", config.pollMs, async () => {
      await pollOnce(store, dispatch, scheduler.id);
    });
    this.#classes = loop("classes", CLASSES_MS, () => refreshClasses(dispatch));
    const recovery = loop("recovery", leases.heartbeatMs, async () => {
      await dispatch.terminator.reap(() => guard.expiryTime());
      await dispatch.launches.giveUp(() => guard.expiryTime());
    });
    this.#loops = [
      loop("database", config.pollMs, onLook),
      loop("renew", leases.heartbeatMs, async () => {
        const gap = guard.noteRenewal(await dispatch.sessions.renew());
        if (gap !== undefined) log.warn("scheduler.starved", { gap_ms: Math.round(gap) });
        // It judges as of this renewal: the sooner it does, the sooner a lost worker's tasks go on.
        recovery.wake();
      }),
      recovery,
      loop("announce", Math.max(1_000, leases.leaseMs / 3), async () => {
        await store.announce({ ...scheduler, status: this.status() }, announceLeaseMs(config));
        dispatch.peers.count = (await store.otherSchedulers(scheduler.id)).length;
      }),
      loop("deadlines", Math.min(DEADLINE_CHECK_MS, leases.acceptDeadlineMs / 2), () =>
        dispatch.reportHandler.checkDeadlines(),
      ),
      loop("watchdog", leases.heartbeatMs / 2, () => watchdog.runOnce()),
      this.#waker,
      this.#poll,
      this.#classes,
      loop("partitions", PARTITIONS_MS, async () => {
        if (!(await store.lead("partitions", scheduler.id, PARTITIONS_MS * LEAD_ROUNDS))) return;
        if (!(await store.ensurePartitions())) throw new Error(locked("made", "a minute"));
      }),
      loop("retention", RETENTION_MS, async () => {
        if (!(await store.lead("retention", scheduler.id, RETENTION_MS * LEAD_ROUNDS))) return;
        const dropped = await store.dropOld(config.keepDays);
        if (dropped === undefined) throw new Error(locked("dropped", "an hour"));
        if (dropped > 0) log.info("retention.dropped", { partitions: dropped, keep_days: config.keepDays });
      }),
      loop("queue-views", Math.min(config.pollMs, config.queueViewMs), () => dispatch.queueViews.runOnce()),
      loop("resources", config.pollMs, () => dispatch.resources.runOnce()),
      loop("monitor", config.monitorMs, async () => {
        await monitorOnce(store, dispatch.classes, log);
        await dispatch.launches.monitor();
      }),
    ];
  }

  /** When each loop last ran, for health. */
  get loops(): readonly Loop[] {
    return this.#loops;
  }

  /** What the scheduler says of itself. */
  status(): SchedulerStatus {
    const { httpAddress, leases } = this.#config;
    return {
      httpAddress: `${httpAddress.host}:${httpAddress.port}`,
      loops: loopStatuses(this.#loops, this.#clock, this.#startedAt),
      wallTime: this.#clock.now(),
      descriptors: this.#descriptors(),
      timings: `heartbeat ${leases.heartbeatMs} ms, lease ${leases.leaseMs} ms, grace ${leases.graceMs} ms, accept ${leases.acceptDeadlineMs} ms`,
    };
  }

  /** Since the database was last looked at for work, milliseconds; undefined before the first time. */
  pollAgeMs(): number | undefined {
    const { lastRunAt } = this.#poll;
    return lastRunAt === undefined ? undefined : this.#clock.monotonic() - lastRunAt;
  }

  start(): void {
    for (const loop of this.#loops) loop.start();
  }

  async stop(): Promise<void> {
    this.#cancelWake();
    await Promise.all(this.#loops.map((loop) => loop.stop()));
  }

  /** The database went away, or is back. */
  databaseChanged(available: boolean): void {
    this.#guard.databaseChanged(available);
  }

  /** Another scheduler may have left a command, paused a queue or made a class. */
  pollSoon(): void {
    this.#poll.wake();
  }

  /** Hints of other schedulers may have been lost. */
  lookSoon(): void {
    this.#classes.wake();
    this.#poll.wake();
  }

  /** A task may start in `delayMs`: be there in time. */
  wakeIn(delayMs: number): void {
    const at = this.#clock.monotonic() + delayMs;
    if (at >= this.#nextWakeAt) return;
    this.#cancelWake();
    this.#nextWakeAt = at;
    // Postgres rounds to microseconds and its clock is not ours: a hair later finds the task due.
    this.#cancelWake = this.#clock.after(Math.min(delayMs + 2, 2 ** 31 - 1), () => {
      this.#nextWakeAt = Number.POSITIVE_INFINITY;
      this.#waker.wake();
    });
  }
}

async function wakeOnce(store: Store, dispatch: Dispatch): Promise<void> {
  for (;;) {
    const due = await store.wakeDue(SWEEP_BATCH);
    for (const task of due) {
      dispatch.waits.woken(task.id);
      dispatch.dispatcher.enqueue(task);
      dispatch.signals.changed(task.id);
    }
    if (due.length > 0) dispatch.peers.hintWork([...new Set(due.map(({ classId }) => classId))]);
    if (due.length < SWEEP_BATCH) break;
  }
  for (;;) {
    const failed = await store.failOverdue(SWEEP_BATCH);
    await dispatch.classes.load(failed.map(({ classId }) => classId));
    for (const { id, classId } of failed) {
      dispatch.signals.changed(id);
      dispatch.counters.finished(classId, "failed");
    }
    dispatch.traces.endedInQueue(failed.map(({ id }) => id));
    if (failed.length < SWEEP_BATCH) return;
  }
}

async function refreshClasses({ classes, counters, dispatcher, traces }: Dispatch): Promise<void> {
  const forgotten = await classes.refresh();
  if (forgotten.length > 0) {
    counters.classes.forget(forgotten);
    traces.forget(forgotten);
  }
  // A class that was read again may have work.
  dispatcher.pump();
}

async function pollOnce(store: Store, dispatch: Dispatch, schedulerId: string): Promise<void> {
  const { classes, control, dispatcher, terminator } = dispatch;
  await control.runCommands(schedulerId, (sessionId) => terminator.dropSuperseded(sessionId));
  await classes.learn();
  classes.setPaused(await store.pausedQueues());
  dispatcher.lookAgain();
  dispatch.traces.lookAtWaits();
}

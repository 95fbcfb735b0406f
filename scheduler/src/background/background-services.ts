/** Starts and stops all background services. */
import type { Clock } from "../clock.ts";
import type { Config } from "../config/config.ts";
import type { DescriptorUse } from "../descriptors.ts";
import type { Dispatch } from "../dispatch/dispatch.ts";
import type { TickRunner } from "../dispatch/schedules/tick-runner.ts";
import type { SchedulerStatus } from "../domain/reports.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logs/logger.ts";
import { Announcer } from "./announcer.ts";
import { AttemptWatchdog } from "./attempt-watchdog.ts";
import { ClassRefresher } from "./class-refresher.ts";
import { COMPLETION_COUNTS_MS, CompletionCounts } from "./completion-counts.ts";
import { Deadlines } from "./deadlines.ts";
import { Dependents } from "./dependents.ts";
import { GraceEnds } from "./grace-ends.ts";
import { HISTORY_ROW_MS, HistoryWriter } from "./history.ts";
import { KEY_AUDIT_MS, KeyAuditor } from "./key-auditor.ts";
import { LeaseRenewer } from "./lease-renewer.ts";
import { Loop } from "./loop.ts";
import { loopStatuses } from "./loop-status.ts";
import { Monitor } from "./monitor.ts";
import { PARTITIONS_MS, PartitionMaker } from "./partition-maker.ts";
import { Poller } from "./poller.ts";
import { RETENTION_MS, Retention } from "./retention.ts";
import { SCHEDULES_MS, Schedules } from "./schedules.ts";
import { WakeUp } from "./wake-up.ts";

/** Time between two checks of the deadlines of attempts, milliseconds. */
const DEADLINE_CHECK_MS = 100;

/** Shortest and longest interval at which aged tasks are read. */
const MIN_AGEING_READ_MS = 250;
const MAX_AGEING_READ_MS = 10_000;

/** Time between two looks at which classes have open tasks, milliseconds. */
const CLASSES_MS = 60_000;

/**
 * Longest time between two runs of the services that a poll wakes when there is something for them, milliseconds: for a
 * poll that waits for a locked table.
 */
const UNWOKEN_MS = 10_000;

/** Least time between two polls because of something due, milliseconds: what is due may be locked by another scheduler. */
const POLL_APART_MS = 20;

/** A scheduler that has not announced itself for this long counts as dead, milliseconds. */
export function announceLeaseMs({ leases }: Pick<Config, "leases">): number {
  return Math.max(3_000, leases.leaseMs);
}

/** The services that run at an interval for as long as the scheduler does, each in a loop of its own. */
export class BackgroundServices {
  readonly #loops: readonly Loop[];
  readonly #waker: Loop;
  readonly #poll: Loop;
  readonly #classes: Loop;
  readonly #dependents: Loop;
  readonly #schedules: Loop;
  readonly #batches: Loop;
  readonly #pools: Loop;
  readonly #launchers: Loop;
  readonly #completions: CompletionCounts;
  readonly #graceEnds: GraceEnds;
  readonly #clock: Clock;
  readonly #config: Config;
  readonly #log: Logger;
  readonly #descriptors: () => DescriptorUse;
  readonly #startedAt: number;
  readonly #poolsChanged: () => void;
  #cancelWake: () => void = () => undefined;
  #cancelPoll: () => void = () => undefined;
  #cancelSchedules: () => void = () => undefined;
  #nextWakeAt = Number.POSITIVE_INFINITY;

  constructor(parts: {
    config: Config;
    descriptors: () => DescriptorUse;
    store: Store;
    dispatch: Dispatch;
    ticks: TickRunner;
    clock: Clock;
    log: Logger;
    scheduler: { id: string; address: string; version: string };
    /** Looks at the database, and at what else readiness asks. */
    onLook: () => Promise<void>;
  }) {
    const { config, store, dispatch, ticks, clock, log, scheduler, onLook } = parts;
    const { admission, classes, committer, concurrencyKeys, control, counters, dispatcher, eventWriter } =
      dispatch;
    const {
      expiryGuard,
      lapsed,
      launches,
      launchStops,
      liveness,
      mechanisms,
      pausedQueues,
      peers,
      queueLimits,
      registry,
    } = dispatch;
    const { circuits, quarantines, queueBuilds, queueSettings, rateLimits, shareWeights, strictOrders } =
      dispatch;
    const { signals, terminator } = dispatch;
    const { traces, waits, workerPauses } = dispatch;
    const { leases } = config;
    this.#poolsChanged = () => {
      dispatch.pools.look();
      dispatch.launchers.poolsChanged();
    };
    this.#clock = clock;
    this.#config = config;
    this.#log = log;
    this.#descriptors = parts.descriptors;
    this.#startedAt = clock.monotonic();
    const loop = (name: string, intervalMs: number, service: { runOnce(): Promise<void> | void }) =>
      new Loop({ name, intervalMs, runOnce: () => service.runOnce(), clock, log });

    const unwokenMs = Math.max(config.pollMs, UNWOKEN_MS);
    const wakeUp = new WakeUp({
      ...{ store, admission, waits, dispatcher, signals, peers, classes, counters, traces },
    });
    this.#waker = loop("wake", unwokenMs, wakeUp);
    const poller = new Poller({
      ...{ store, control, terminator, classes, concurrencyKeys, pausedQueues, workerPauses, queueLimits },
      launchStops,
      ...{
        circuits,
        quarantines,
        queueBuilds,
        queueSettings,
        rateLimits,
        shareWeights,
        strictOrders,
        dispatcher,
        traces,
      },
      schedulerId: scheduler.id,
      wake: {
        dueTasks: () => this.#waker.wake(),
        dependencyEnds: () => this.#dependents.wake(),
        batchCancels: () => this.#batches.wake(),
        pools: () => {
          dispatch.pools.look();
          this.#pools.wake();
        },
      },
      pollIn: (delayMs) => this.#pollIn(delayMs),
    });
    this.#poll = loop("poll", config.pollMs, poller);
    const dependents = new Dependents({
      ...{ store, waits, dispatcher, signals, peers, classes, counters, traces },
      wakeIn: (delayMs) => this.wakeIn(delayMs),
    });
    this.#dependents = loop("dependents", unwokenMs, dependents);
    this.#batches = loop("batches", unwokenMs, dispatch.batches);
    dispatch.batches.onCancel(() => this.#batches.wake());
    // The poll wakes it while there are pools. The loop of the launchers sends nothing without one.
    this.#pools = loop("pools", unwokenMs, dispatch.pools);
    this.#launchers = loop("launchers", Math.min(config.pollMs, leases.heartbeatMs), dispatch.launchers);
    dispatch.launchers.onEnded(() => this.poolsSoon());
    const refresher = new ClassRefresher({ admission, classes, counters, dispatcher, traces });
    this.#classes = loop("classes", CLASSES_MS, refresher);
    const schedules = new Schedules({
      ...{ store, runner: ticks },
      wakeIn: (delayMs) => this.#schedulesIn(delayMs),
    });
    this.#schedules = loop("schedules", SCHEDULES_MS, schedules);
    // Expiry is measured as of the last renewal, so a scan right after it finds what a scan before it did not, and a second
    // one finds nothing more.
    const scansWithRenewals = config.recoveryMs <= leases.heartbeatMs;
    const recoveryMs = scansWithRenewals ? 2 * leases.heartbeatMs : config.recoveryMs;
    const recovery = loop("recovery", recoveryMs, dispatch.reaper);
    const scanNow = scansWithRenewals ? () => recovery.wake() : () => undefined;
    const renewer = new LeaseRenewer({ liveness, expiryGuard, log, onRenewed: scanNow });
    const renewal = loop("renew", leases.heartbeatMs, renewer);
    this.#graceEnds = new GraceEnds(clock, leases.graceMs, () => renewal.wake());
    if (scansWithRenewals) liveness.onDrop(() => this.#graceEnds.noteDrop());
    const announcer = new Announcer({
      store,
      scheduler,
      status: () => this.status(),
      leaseMs: announceLeaseMs(config),
      peers,
    });
    const { keepDays } = config;
    const retention = new Retention({ store, schedulerId: scheduler.id, keepDays, clock, log });
    const keyAuditor = new KeyAuditor({ store, schedulerId: scheduler.id, counters, log });
    const deadlineCheckMs = Math.min(DEADLINE_CHECK_MS, leases.acceptDeadlineMs / 2);
    const deadlines = new Deadlines({
      ...{ registry, committer, lapsed, eventWriter, mechanisms, traces, clock, log, leases },
    });
    const watchdog = new AttemptWatchdog({
      ...{ registry, committer, eventWriter, mechanisms, clock, log, leases },
      settings: config.watch,
    });
    this.#completions = new CompletionCounts({ store, schedulerId: scheduler.id, counters });
    this.#loops = [
      loop("database", config.pollMs, { runOnce: onLook }),
      renewal,
      recovery,
      loop("announce", Math.max(1_000, leases.leaseMs / 3), announcer),
      loop("deadlines", deadlineCheckMs, deadlines),
      loop("watchdog", leases.heartbeatMs / 2, watchdog),
      this.#waker,
      this.#dependents,
      this.#batches,
      this.#pools,
      this.#launchers,
      this.#poll,
      this.#classes,
      this.#schedules,
      loop("partitions", PARTITIONS_MS, new PartitionMaker(store, scheduler.id)),
      loop("retention", RETENTION_MS, retention),
      loop("concurrency-keys", KEY_AUDIT_MS, keyAuditor),
      loop("ageing", ageingReadMs(config.ageingMs), { runOnce: () => dispatcher.readAged() }),
      loop("queue-views", Math.min(config.pollMs, config.queueViewMs), dispatch.queueViews),
      loop("resources", config.pollMs, dispatch.resources),
      loop("quarantines", config.pollMs, quarantines),
      loop("completions", COMPLETION_COUNTS_MS, this.#completions),
      loop("history", HISTORY_ROW_MS, new HistoryWriter(store, scheduler.id)),
      loop("monitor", config.monitorMs, new Monitor({ store, classes, launches, log })),
    ];
  }

  /** When each loop last ran, for health. */
  get loops(): readonly Loop[] {
    return this.#loops;
  }

  /** The status that the scheduler announces. */
  status(): SchedulerStatus {
    const { httpAddress, leases } = this.#config;
    return {
      httpAddress: `${httpAddress.host}:${httpAddress.port}`,
      loops: loopStatuses(this.#loops, this.#clock, this.#startedAt),
      wallTime: this.#clock.now(),
      descriptors: this.#descriptors(),
      timings: `heartbeat ${leases.heartbeatMs} ms, lease ${leases.leaseMs} ms, grace ${leases.graceMs} ms, accept ${leases.acceptDeadlineMs} ms`,
      modes: this.#config.modes,
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
    this.#cancelPoll();
    this.#cancelSchedules();
    this.#graceEnds.stop();
    await Promise.all(this.#loops.map((loop) => loop.stop()));
    try {
      await this.#completions.runOnce();
    } catch (error) {
      this.#log.warn("completions.not_written", { error });
    }
  }

  /** Another scheduler may have left a command, paused a queue or made a class. */
  pollSoon(): void {
    this.#poll.wake();
  }

  /** A task that others depend on has ended. */
  releaseSoon(): void {
    this.#dependents.wake();
  }

  /** Hints of other schedulers may have been lost. */
  lookSoon(): void {
    this.#dependents.wake();
    this.#classes.wake();
    this.#poll.wake();
    this.#schedules.wake();
  }

  /** A pool was changed, or something was decided or seen of its launches. */
  poolsSoon(): void {
    this.#poolsChanged();
    this.#pools.wake();
    this.#launchers.wake();
  }

  /** A launcher has connected. */
  launchersSoon(): void {
    this.#launchers.wake();
  }

  /** A schedule was set, resumed or deleted, or the database is there again. */
  schedulesSoon(): void {
    this.#schedules.wake();
  }

  /** Polls in `delayMs` where that is before the next regular poll. */
  #pollIn(delayMs: number): void {
    this.#cancelPoll();
    if (delayMs < this.#config.pollMs)
      this.#cancelPoll = this.#clock.after(Math.max(delayMs + 2, POLL_APART_MS), () => this.#poll.wake());
  }

  /** Runs the schedules in `delayMs` where that is before the next regular run. */
  #schedulesIn(delayMs: number): void {
    this.#cancelSchedules();
    if (delayMs < SCHEDULES_MS)
      this.#cancelSchedules = this.#clock.after(Math.ceil(delayMs) + 1, () => this.#schedules.wake());
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

/** How often tasks whose turn has come by their age are read: often enough for an interval that is short. */
function ageingReadMs(ageingMs: number): number {
  return Math.max(MIN_AGEING_READ_MS, Math.min(MAX_AGEING_READ_MS, ageingMs / 8));
}

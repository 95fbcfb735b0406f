import type { Clock } from "../clock.ts";
import type { WatchSettings } from "../domain/watchdog.ts";
import type { Store } from "../store/store.ts";
import { MeasuredClasses } from "../telemetry/class-measures.ts";
import { Counters } from "../telemetry/counters.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Tracing } from "../telemetry/tracing.ts";
import { AttemptTraces } from "./attempt-traces.ts";
import { Backlog } from "./backlog.ts";
import { ClassIndex } from "./class-index.ts";
import { Dispatcher } from "./dispatcher.ts";
import { FleetView } from "./fleet-view.ts";
import { Handover } from "./handover.ts";
import { Journal } from "./journal.ts";
import { LapsedAttempts } from "./lapsed.ts";
import { Launches } from "./launches.ts";
import type { LeaseSettings } from "./limits.ts";
import { Matcher } from "./matcher.ts";
import { Peers } from "./peers.ts";
import { QueueViews } from "./queue-views.ts";
import { Refusals } from "./refusals.ts";
import { Registry } from "./registry.ts";
import { Reports } from "./reports.ts";
import { ResourceKeeper } from "./resource-keeper.ts";
import { SessionEnds } from "./session-ends.ts";
import { Sessions } from "./sessions.ts";
import { Settler } from "./settler.ts";
import { Submitter } from "./submitter.ts";
import { TaskControl } from "./task-control.ts";
import { TaskFollowers } from "./task-followers.ts";
import { TaskSignals } from "./task-signals.ts";
import { UnknownOutcomes } from "./unknown-outcomes.ts";
import { Waits } from "./waits.ts";

/** The parts that give out work and take its results, wired together. */
export interface Dispatch {
  readonly backlog: Backlog;
  readonly classes: ClassIndex;
  readonly control: TaskControl;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly dispatcher: Dispatcher;
  readonly fleet: FleetView;
  readonly followers: TaskFollowers;
  readonly journal: Journal;
  readonly launches: Launches;
  readonly peers: Peers;
  readonly queueViews: QueueViews;
  readonly refusals: Refusals;
  readonly registry: Registry;
  readonly reports: Reports;
  readonly resources: ResourceKeeper;
  readonly sessions: Sessions;
  readonly ends: SessionEnds;
  readonly settler: Settler;
  readonly signals: TaskSignals;
  readonly submitter: Submitter;
  readonly waits: Waits;
  readonly traces: AttemptTraces;
  readonly tracing: Tracing;
}

/**
 * @param options.maxLabelSets Pairs of queue and type that are measured apart.
 * @param options.onScheduled Told of the wait of every task that may not start at once, milliseconds.
 * @param options.intervals How often idle workers are told what waits, resources are looked after, and after
 * how long one that is not loaded is warned of, milliseconds.
 */
export function createDispatch(options: {
  store: Store;
  clock: Clock;
  log: Logger;
  leases: LeaseSettings;
  watch: WatchSettings;
  schedulerId: string;
  maxLabelSets: number;
  intervals: { readonly queueViewMs: number; readonly resourceMs: number; readonly resourceWarnMs: number };
  onScheduled: (delayMs: number) => void;
  tracing: Tracing;
}): Dispatch {
  const { store, clock, log, leases, watch, schedulerId, maxLabelSets, intervals, onScheduled, tracing } =
    options;
  const registry = new Registry();
  const signals = new TaskSignals();
  const peers = new Peers(store, clock, log);
  const followers = new TaskFollowers({ store, signals, peers, clock, log });
  const classes = new ClassIndex(store, clock);
  const counters = new Counters(
    new MeasuredClasses(maxLabelSets, (classId) => classes.get(classId)?.taskClass),
  );
  const waits = new Waits(clock, counters);
  const traces = new AttemptTraces({ store, tracing, classes, clock, log });
  const lapsed = new LapsedAttempts({ store, clock, log });
  const handover = new Handover({ classes, lapsed, registry, clock, log, waits, traces });
  const unknown = new UnknownOutcomes({
    store,
    registry,
    clock,
    log,
    send: (unsent) => handover.sendFound(unsent),
  });
  const dispatcher = new Dispatcher({
    store,
    schedulerId,
    classes,
    matcher: new Matcher(classes, clock),
    handover,
    unknown,
    clock,
    log,
    counters,
    traces,
  });
  const journal = new Journal({ store, clock, log, signals });
  const refusals = new Refusals({ store, journal, clock, log, counters, schedulerId });
  const settler = new Settler({
    store,
    clock,
    log,
    counters,
    dispatcher,
    signals,
    peers,
    traces,
    journal,
    onScheduled,
  });
  const reports = new Reports({
    registry,
    classes,
    settler,
    journal,
    clock,
    log,
    counters,
    leases,
    lapsed,
    traces,
  });
  const ends = new SessionEnds({
    store,
    registry,
    classes,
    settler,
    journal,
    signals,
    clock,
    log,
    counters,
    leases,
    schedulerId,
    traces,
  });
  const sessions = new Sessions({
    store,
    registry,
    classes,
    dispatcher,
    ends,
    settler,
    journal,
    clock,
    log,
    counters,
    leases,
    watch,
    schedulerId,
    traces,
  });
  const launches = new Launches({ store, ends, journal, log, counters, leases });
  const submitter = new Submitter({
    store,
    schedulerId,
    classes,
    dispatcher,
    handover,
    unknown,
    peers,
    counters,
    clock,
    onScheduled,
  });
  const backlog = new Backlog({ store, classes, clock });
  const fleet = new FleetView({ store, registry, clock, schedulerId, leases, watch });
  const queueViews = new QueueViews({
    classes,
    registry,
    backlog,
    clock,
    intervalMs: intervals.queueViewMs,
  });
  const resources = new ResourceKeeper({
    store,
    classes,
    registry,
    fleet,
    backlog,
    peers,
    journal,
    clock,
    log,
    schedulerId,
    intervalMs: intervals.resourceMs,
    warnMs: intervals.resourceWarnMs,
  });
  const control = new TaskControl({
    store,
    classes,
    registry,
    reports,
    dispatcher,
    peers,
    signals,
    counters,
    resources,
    traces,
  });
  return {
    backlog,
    classes,
    control,
    counters,
    clock,
    dispatcher,
    fleet,
    followers,
    journal,
    launches,
    peers,
    queueViews,
    refusals,
    registry,
    reports,
    resources,
    sessions,
    ends,
    settler,
    signals,
    submitter,
    waits,
    traces,
    tracing,
  };
}

/** Puts the parts of the hot path together. */
import type { Clock } from "../clock.ts";
import { ACT, type Modes } from "../domain/mechanisms/mechanism.ts";
import type { WatchSettings } from "../domain/tasks/attempts/watchdog.ts";
import type { RetryDefaults } from "../domain/tasks/outcome/retry-defaults.ts";
import type { QuarantineSettings } from "../domain/workers/quarantine.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logs/logger.ts";
import { MeasuredClasses } from "../telemetry/metrics/class-measures.ts";
import { Counters } from "../telemetry/metrics/counters.ts";
import type { Tracing } from "../telemetry/spans/tracing.ts";
import { type AdmissionParts, createAdmission } from "./admission/admission-parts.ts";
import { Circuits } from "./admission/circuits.ts";
import { KeyPauser } from "./admission/key-pauser.ts";
import type { AdmissionRule } from "./admission/rule.ts";
import { LapsedAttempts } from "./attempts/lapsed-attempts.ts";
import { ResultCommitter } from "./attempts/result-committer.ts";
import { RetryPolicies } from "./attempts/retry-policies.ts";
import { Revocations } from "./attempts/revocations.ts";
import { SlotReports } from "./attempts/slot-reports.ts";
import { TaskControl } from "./attempts/task-control.ts";
import { WorkerReportHandler } from "./attempts/worker-report-handler.ts";
import { AttemptTraces } from "./attempts/writers/attempt-traces.ts";
import { createWriters, type ReportWriters } from "./attempts/writers/report-writers.ts";
import { QueueBuilds } from "./builds/queue-builds.ts";
import { ChangeEffects } from "./changes/change-effects.ts";
import { TaskChanger } from "./changes/task-changer.ts";
import { AssignmentSender } from "./claiming/assignment-sender.ts";
import { Dispatcher } from "./claiming/dispatcher.ts";
import { IndeterminateStatements } from "./claiming/indeterminate-statements.ts";
import { Peers } from "./claiming/peers.ts";
import { TaskFollowers } from "./following/task-followers.ts";
import { TaskSignals } from "./following/task-signals.ts";
import { LaunchStops } from "./launches/launch-stops.ts";
import { MachineNotices } from "./launches/machine-notices.ts";
import { RejectedWorkers } from "./launches/rejected-workers.ts";
import type { LeaseSettings } from "./limits.ts";
import { Backlog } from "./matching/backlog.ts";
import { ClassIndex } from "./matching/class-index.ts";
import { Matcher } from "./matching/matcher.ts";
import { QueueViews } from "./matching/queue-views.ts";
import { Waits } from "./matching/wait-times.ts";
import { Mechanisms } from "./mechanisms/mechanisms.ts";
import { LauncherSessions } from "./pools/launcher-sessions.ts";
import { PoolController } from "./pools/pool-controller.ts";
import { Quarantines } from "./quarantine/quarantines.ts";
import { QueueSettingsCache } from "./queue-settings.ts";
import { ResourceRequester } from "./resources/resource-requester.ts";
import { Registry } from "./sessions/registry.ts";
import { createSessions, type SessionParts } from "./sessions/session-parts.ts";
import { FleetView } from "./sessions/workers/fleet-view.ts";
import { StackReader } from "./sessions/workers/stack-reader.ts";
import { WorkerPauses } from "./sessions/workers/worker-pauses.ts";
import { ShareWeights } from "./sharing/share-weights.ts";
import { Batches } from "./submission/batches.ts";
import { FitWarnings } from "./submission/fit-warnings.ts";
import { QueueLimits } from "./submission/queue-limits.ts";
import { SubmitLog } from "./submission/submit-log.ts";
import { Submitter } from "./submission/submitter.ts";

const NO_QUARANTINE: QuarantineSettings = { minSamples: 0, windowMs: 300_000, probeMs: 30_000 };

/** The parts that assign tasks and commit their results, wired together. */
export interface Dispatch extends AdmissionParts, ReportWriters, SessionParts {
  readonly backlog: Backlog;
  readonly circuits: Circuits;
  readonly classes: ClassIndex;
  readonly batches: Batches;
  readonly changer: TaskChanger;
  readonly control: TaskControl;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly dispatcher: Dispatcher;
  readonly fleet: FleetView;
  readonly fitWarnings: FitWarnings;
  readonly followers: TaskFollowers;
  readonly lapsed: LapsedAttempts;
  readonly mechanisms: Mechanisms;
  readonly keyPauser: KeyPauser;
  readonly launchStops: LaunchStops;
  readonly machineNotices: MachineNotices;
  readonly launchers: LauncherSessions;
  readonly pools: PoolController;
  readonly peers: Peers;
  readonly queueLimits: QueueLimits;
  readonly queueBuilds: QueueBuilds;
  readonly queueSettings: QueueSettingsCache;
  readonly queueViews: QueueViews;
  readonly rejectedWorkers: RejectedWorkers;
  readonly registry: Registry;
  readonly reportHandler: WorkerReportHandler;
  readonly quarantines: Quarantines;
  readonly resources: ResourceRequester;
  readonly retryPolicies: RetryPolicies;
  readonly revocations: Revocations;
  readonly slotReports: SlotReports;
  readonly committer: ResultCommitter;
  readonly shareWeights: ShareWeights;
  readonly signals: TaskSignals;
  readonly submitLog: SubmitLog;
  readonly submitter: Submitter;
  readonly waits: Waits;
  readonly stacks: StackReader;
  readonly workerPauses: WorkerPauses;
  readonly traces: AttemptTraces;
}

/**
 * @param options.maxLabelSets Pairs of queue and type that are measured apart.
 * @param options.rules Admission rules beside paused queues.
 * @param options.onScheduled Called with the wait of every task that may not start at once, milliseconds.
 * @param options.intervals How often waiting tasks are sent to idle workers, resources are requested, and after
 * how long one that is not loaded is warned of, milliseconds.
 * @param options.ageingMs The wait of a task that counts as much as one level of priority, milliseconds.
 */
export function createDispatch(options: {
  store: Store;
  clock: Clock;
  log: Logger;
  leases: LeaseSettings;
  watch: WatchSettings;
  /** Without them every mechanism acts. */
  modes?: Modes;
  /** The scheduler's defaults of the retry policy. */
  retry?: RetryDefaults;
  /** Without it no worker is quarantined. */
  quarantine?: QuarantineSettings;
  /** False: what handlers log is dropped. True by default. */
  taskLogs?: boolean;
  schedulerId: string;
  maxLabelSets: number;
  intervals: { readonly queueViewMs: number; readonly resourceMs: number; readonly resourceWarnMs: number };
  ageingMs: number;
  onScheduled: (delayMs: number) => void;
  tracing: Tracing;
  rules?: readonly AdmissionRule[] | undefined;
}): Dispatch {
  const { store, clock, log, leases, watch, schedulerId, maxLabelSets, intervals, onScheduled, tracing } =
    options;
  const registry = new Registry();
  const signals = new TaskSignals();
  const peers = new Peers(store, clock, log);
  const followers = new TaskFollowers({ store, signals, peers, clock, log });
  const classes = new ClassIndex(store, clock, options.ageingMs);
  const shareWeights = new ShareWeights(store, classes.windows.order);
  const holders = createAdmission({
    ...{ clock, windows: classes.windows, rules: options.rules },
    frontOf: (classId) => classes.get(classId)?.window.peek()?.id,
    onWaitEnded: (taskClass) => {
      peers.hintWork([taskClass.id]);
      dispatcher.pumpSoon();
    },
    enqueueFirst: (task) => dispatcher.enqueueFirst(task),
    pump: () => dispatcher.pump(),
  });
  const { admission, concurrencyKeys, rateLimits, strictOrders } = holders;
  const counters = new Counters(
    new MeasuredClasses(maxLabelSets, (classId) => classes.get(classId)?.taskClass),
  );
  const writers = createWriters({
    ...{ store, clock, log, signals, counters },
    taskLogs: options.taskLogs ?? true,
  });
  const { eventWriter, checkpoints, logWriter, metricWriter } = writers;
  const queueSettings = new QueueSettingsCache(store);
  const queueBuilds = new QueueBuilds({ store, settings: queueSettings, classes });
  classes.useBuilds((taskClass) => queueBuilds.sidesFor(taskClass));
  const mechanisms = new Mechanisms({
    ...{ queueSettings, eventWriter, counters, log },
    modes: options.modes ?? ACT,
  });
  const circuits = new Circuits({ store, log, counters, mechanisms });
  const waits = new Waits(clock, counters);
  const retryPolicies = new RetryPolicies(queueSettings, options.retry ?? {}, mechanisms);
  const traces = new AttemptTraces({ store, tracing, classes, admission, clock, log });
  const lapsed = new LapsedAttempts({
    ...{ store, admission, classes, registry, clock, log, schedulerId },
    giveBack: (session, attempt) => {
      void committer.endAttempt(session, attempt, { kind: "released", reason: "unreceived" });
    },
  });
  const sender = new AssignmentSender({
    ...{ classes, admission, lapsed, registry, clock, log, waits, traces, retryPolicies },
    giveBack: (session, attempt, reason) => {
      void committer.endAttempt(session, attempt, { kind: "released", reason });
    },
  });
  const indeterminate = new IndeterminateStatements({
    store,
    registry,
    clock,
    log,
    send: (unsent) => sender.sendFoundAssignments(unsent),
  });
  const dispatcher = new Dispatcher({
    store,
    schedulerId,
    classes,
    admission,
    keys: concurrencyKeys,
    orders: strictOrders,
    rates: rateLimits,
    matcher: new Matcher(classes, clock),
    sender,
    indeterminate,
    clock,
    log,
    counters,
    traces,
  });
  const keyPauser = new KeyPauser({ store, rateLimits, schedulerId, counters, log });
  const quarantine = options.quarantine ?? NO_QUARANTINE;
  const fleet = new FleetView({ store, registry, clock, schedulerId, leases, watch });
  const quarantines = new Quarantines({
    ...{ store, registry, classes, fleet, peers, dispatcher, counters, mechanisms, clock, log, schedulerId },
    settings: quarantine,
  });
  const rejectedWorkers = new RejectedWorkers({ store, eventWriter, clock, log, counters, schedulerId });
  const committer = new ResultCommitter({
    store,
    admission,
    circuits,
    clock,
    log,
    counters,
    mechanisms,
    dispatcher,
    signals,
    peers,
    traces,
    eventWriter,
    checkpoints,
    metricWriter,
    quarantines,
    retryPolicies,
    onScheduled,
  });
  const reportHandler = new WorkerReportHandler({
    onRoom: () => dispatcher.pumpSoon(),
    registry,
    classes,
    committer,
    checkpoints,
    eventWriter,
    logWriter,
    metricWriter,
    clock,
    log,
    counters,
    lapsed,
    quarantines,
    traces,
  });
  const slotReports = new SlotReports({ eventWriter, clock, log, onRoom: () => dispatcher.pumpSoon() });
  const sessions = createSessions({
    ...{ store, admission, registry, classes, dispatcher, committer, lapsed, slotReports, signals },
    ...{ eventWriter, metricWriter, mechanisms, retryPolicies, traces, clock, log, counters },
    ...{ leases, watch, quarantine, schedulerId },
  });
  const launchStops = new LaunchStops({ store, clock, log, counters });
  const queueLimits = new QueueLimits(store, counters);
  const submitLog = new SubmitLog({ clock, log, counters });
  const submitter = new Submitter({
    log: submitLog,
    limits: queueLimits,
    store,
    schedulerId,
    classes,
    dispatcher,
    sender,
    indeterminate,
    peers,
    counters,
    clock,
    onScheduled,
    onEndedWait: (ended) => control.cancelledInQueue(ended),
  });
  const fitWarnings = new FitWarnings({ store, classes, clock, log });
  const backlog = new Backlog({ store, classes, clock });
  const queueViews = new QueueViews({
    classes,
    admission,
    registry,
    backlog,
    clock,
    intervalMs: intervals.queueViewMs,
  });
  const resources = new ResourceRequester({
    store,
    classes,
    admission,
    registry,
    fleet,
    backlog,
    peers,
    eventWriter,
    clock,
    log,
    schedulerId,
    intervalMs: intervals.resourceMs,
    warnMs: intervals.resourceWarnMs,
  });
  const revocations = new Revocations({
    ...{ store, admission, committer, eventWriter, registry, retryPolicies, signals, traces, clock, log },
    schedulerId,
  });
  const stacks = new StackReader({ store, registry, clock, log, schedulerId });
  const control = new TaskControl({
    store,
    stacks,
    admission,
    classes,
    registry,
    reportHandler,
    dispatcher,
    peers,
    signals,
    counters,
    resources,
    revocations,
    traces,
    waits,
    onScheduled,
    clock,
    log,
  });
  const pools = new PoolController({
    ...{ store, admission, backlog, classes, control, schedulerId, log, counters },
  });
  const launchers = new LauncherSessions({ store, clock, log, leases });
  const workerPauses = new WorkerPauses({ store, registry, dispatcher, clock, log, schedulerId });
  const effects = new ChangeEffects({
    ...{ admission, classes, dispatcher, peers, signals, counters, traces, clock },
  });
  const changer = new TaskChanger({
    ...{ store, schedulerId, effects, counters, clock, log },
    limits: queueLimits,
  });
  const batches = new Batches({ store, schedulerId, classes, control, changer, counters });
  return {
    ...holders,
    ...writers,
    ...sessions,
    backlog,
    batches,
    changer,
    circuits,
    classes,
    control,
    counters,
    clock,
    dispatcher,
    fitWarnings,
    fleet,
    followers,
    lapsed,
    mechanisms,
    keyPauser,
    launchStops,
    machineNotices: new MachineNotices({ control, log }),
    launchers,
    pools,
    peers,
    queueLimits,
    queueBuilds,
    queueSettings,
    queueViews,
    quarantines,
    rejectedWorkers,
    registry,
    reportHandler,
    resources,
    retryPolicies,
    revocations,
    slotReports,
    stacks,
    committer,
    shareWeights,
    signals,
    submitLog,
    submitter,
    waits,
    workerPauses,
    traces,
  };
}

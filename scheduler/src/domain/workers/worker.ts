/** The fields of a worker, its states and its heartbeat. */
import type { AttemptKey } from "../ids.ts";
import type { Capacity, Cost } from "../matching/capacity.ts";
import type { SlotReleaseRecord } from "../tasks/attempts/slot-release.ts";
import type { QuietRecord, Stuck, StuckPhaseRecord } from "../tasks/attempts/watchdog.ts";
import type { AdaptiveLimit } from "./adaptive-limit.ts";
import type { CompletionRecord } from "./completions.ts";
import { isConnecting, type LaunchRecord } from "./launch.ts";
import type { OperatorPause } from "./operator-pause.ts";
import type { FatalRecord, StartupPhaseRecord } from "./process-reports.ts";
import type { QuarantineRecord } from "./quarantine.ts";
import type { WorkerSetting } from "./worker-setting.ts";

export type { FatalRecord, StartupPhaseRecord } from "./process-reports.ts";

/** A worker as kept in the store; live facts come from the scheduler that holds its stream. */
export interface WorkerRecord {
  /** Of a process that was launched and has never registered, the number of its launch: both share one order. */
  readonly sessionId: number;
  /** Empty for a process that was launched and has never registered. */
  readonly sessionUuid: string;
  readonly workerId: string;
  readonly schedulerId: string;
  readonly hello: WorkerHello;
  /** Only of a single worker, and only from an SDK that says them. */
  readonly settings?: readonly WorkerSetting[];
  readonly phases: readonly StartupPhaseRecord[];
  readonly ready: boolean;
  readonly draining: boolean;
  readonly connectTime: Date;
  readonly heartbeatTime: Date | undefined;
  /** Lease as Postgres has it; undefined once gone. */
  readonly leaseUntil: Date | undefined;
  /** True while its stream is down. */
  readonly disconnected: boolean;
  readonly heartbeat: HeartbeatRecord | undefined;
  readonly goneTime: Date | undefined;
  readonly goneReason: string | undefined;
  readonly fatal: FatalRecord | undefined;
  readonly activeCount: number;
  /** Attempts among them that wait without their slots; only in lists of workers. */
  readonly releasedCount?: number;
  /** Its capacities, `slots` first, with what its attempts take; only in lists of workers. */
  readonly capacities?: readonly WorkerCapacity[];
  /** How a supervisor started and ended its process, when one did. */
  readonly launch?: LaunchRecord | undefined;
  /** An operator has paused it. */
  readonly operatorPause?: OperatorPause | undefined;
  /** It failed far more than its peers. */
  readonly quarantine?: QuarantineRecord | undefined;
}

/** A capacity of a worker by its name. */
export interface WorkerCapacity extends Capacity {
  readonly name: string;
}

/** True once its process has registered; before, only its launch is known. */
export function hasRegistered(record: WorkerRecord): boolean {
  return record.sessionUuid !== "" || record.launch === undefined;
}

/** What a worker said of itself when it registered. */
export interface WorkerHello {
  readonly sdk: string;
  readonly pool: string;
  /** The build of its program; absent when it does not say. */
  readonly buildId?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly types: readonly { readonly type: string; readonly concurrency: number }[];
  /** Of the types whose concurrency it adapts, when it registered. */
  readonly adaptive?: Readonly<Record<string, AdaptiveLimit>>;
  readonly queues: readonly string[];
  readonly slots: number;
  readonly prefetch: number;
  /** Its capacities besides the slots, by name. */
  readonly capacities?: Readonly<Record<string, number>>;
  /** Payload bytes that it takes ahead; 0 or absent for the default. */
  readonly assignmentBytes?: number;
  readonly resources: readonly string[];
  readonly launchId: string;
  readonly features: readonly string[];
  /** What it can load when asked, as names or prefixes that end in `*`; none with `prepare_resource` means anything. */
  readonly loadable?: readonly string[];
  readonly host: HostRecord;
}

/** Machine and process of a worker. */
export interface HostRecord {
  readonly hostname: string;
  readonly pid: number;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly cwd: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly runtime: string;
}

/** What the scheduler that holds the worker's stream makes of its attempts. */
export interface BeatVerdict {
  /** Attempts that last too long. */
  readonly stuck: readonly (Stuck & AttemptKey)[];
  /** Accepted attempts that the worker's heartbeats omit: for how long, and when they are requeued. */
  readonly unlisted: readonly (AttemptKey & { readonly forMs: number; readonly takenBackInMs: number })[];
}

/** What a beat says of one attempt. */
export interface RunningRecord {
  readonly attemptId: string;
  readonly phase: string;
  readonly phaseAgeMs: number;
  readonly progress: number | undefined;
  readonly progressAgeMs: number | undefined;
  readonly resultPending: boolean;
  readonly cancelling: boolean;
  /** It is no longer the worker's, and its handler has not returned. */
  readonly revoked?: boolean;
  /** Its handler waits without its slots. */
  readonly slotRelease?: SlotReleaseRecord;
  /** Threshold of the phase's soft watchdog: 0, it is not watched; undefined, the worker has no say. */
  readonly warnAfterMs?: number | undefined;
  /** Hard limit of the phase where the worker has one of its own, 0 for none: it takes the place of that of the task. */
  readonly phaseTimeoutMs?: number | undefined;
  /** Phases that the worker calls stuck. */
  readonly stuckPhases?: readonly (StuckPhaseRecord & { readonly warnings: number })[] | undefined;
  /** The handler has said that it will be silent, and has shown nothing since. */
  readonly expectation?: QuietRecord | undefined;
  /** Since the handler returned. */
  readonly resultAgeMs?: number | undefined;
}

/** A beat. */
export interface HeartbeatRecord {
  readonly sequence: number;
  readonly slots: number;
  readonly running: readonly RunningRecord[];
  readonly loopAgeMs: number;
  /** What does not run, where the worker can tell. */
  readonly blockedBy?: "loop" | "interpreter";
  readonly loopDelayP99Ms: number;
  readonly cpuUsage: number;
  readonly rssBytes: number;
  readonly heapUsedBytes: number;
  readonly resources: readonly string[];
  readonly paused: boolean;
  readonly pauseReason: string;
  /** Measures for which it pauses by itself. */
  readonly pressures?: readonly PressureRecord[];
  readonly counters: Readonly<Record<string, number>>;
  /** Of the types whose concurrency it adapts. */
  readonly adaptive?: Readonly<Record<string, AdaptiveLimit>>;
  /** Where the main loop is, read while it was blocked. */
  readonly mainStack?: MainStackRecord;
  /** Resources that it is loading or failed to load. */
  readonly resourceStates?: readonly ResourceStateRecord[];
  /** What the scheduler that holds its stream adds, for the other schedulers. */
  readonly seen?: SeenRecord;
  /** What the scheduler made of the attempts when it kept this beat; undefined when nothing is wrong. */
  readonly verdict?: BeatVerdict | undefined;
}

/** The stack of a main loop that is blocked. Ages are milliseconds. */
export interface MainStackRecord {
  /** The innermost frame first. */
  readonly frames: readonly string[];
  readonly ageMs: number;
  /** How long the loop had been blocked when it was read. */
  readonly blockedMs: number;
}

/** A measure that has reached its high watermark and not yet fallen to the low one. */
export interface PressureRecord {
  /** `cpu`, `memory`, `loop_delay` or `probe`. */
  readonly measure: string;
  readonly detail: string;
  readonly value: number;
  readonly high: number;
  readonly low: number;
  /** Since the worker paused for it, milliseconds. */
  readonly ageMs: number;
}

/** What a beat says of a resource that was asked for and is not loaded. */
export interface ResourceStateRecord {
  readonly resource: string;
  readonly state: "loading" | "failed";
  /** In that state, milliseconds. */
  readonly ageMs: number;
  /** Times that loading has failed in a row. */
  readonly failures: number;
  /** Why it failed last; empty when it has not. */
  readonly error: string;
}

/** A worker as the scheduler that holds its stream sees it, where that is more than its beat says. */
export interface SeenRecord {
  /** Attempts that occupy it. */
  readonly outstanding: number;
  /** Slots that they take, where these are more. */
  readonly slots?: number;
  /** Attempts that wait without their slots, which are not among them; absent when none does. */
  readonly released?: number;
  /** The same by type. */
  readonly types: Readonly<Record<string, number>>;
  /** What they take of the other capacities; absent when they take nothing. */
  readonly used?: Readonly<Record<string, number>>;
  /** The oldest of them; ages are milliseconds. */
  readonly held: readonly SeenAttempt[];
  /** Until it is given work again, because it left an assignment unanswered; absent when it is not held back. */
  readonly stalledMs?: number;
  /** Assignments in a row that it did not accept in time, those sent together as one; absent when it accepted the last. */
  readonly unaccepted?: number;
  /** How its attempts ended within the window, by type: finished, and failed among them; absent when none has. */
  readonly outcomes?: Readonly<Record<string, readonly [finished: number, failed: number]>>;
  /** Its successes; absent from an older scheduler. */
  readonly completed?: CompletionRecord;
  /** Since it came to hold nothing, milliseconds; absent while it holds something. */
  readonly idleMs?: number;
  /** What it was asked to load, and how long ago, milliseconds. */
  readonly asks: readonly { readonly resource: string; readonly sinceMs: number; readonly count: number }[];
}

/** An attempt as the scheduler that gave it out sees it. Ages are milliseconds. */
export interface SeenAttempt {
  readonly attemptId: string;
  readonly type: string;
  /** Empty when it is in none. */
  readonly phase: string;
  readonly phaseAgeMs: number;
  /** How far it is; undefined from a scheduler that does not say. */
  readonly stage?: "assigned" | "accepted" | "started";
  /** Since it started, or was accepted or assigned when it has not. */
  readonly ageMs: number;
  /** What it takes; absent for one slot and nothing else. */
  readonly cost?: Cost;
  /** Its handler waits without its slots. */
  readonly slotRelease?: SlotReleaseRecord;
  /** Its result has arrived and is being committed. */
  readonly resultPending: boolean;
  /** Why the database has not taken its result so far. */
  readonly heldUp?: string;
  /** It is no longer the worker's, whose handler may still run: for how long, and why. */
  readonly revoked?: { readonly forMs: number; readonly reason: string };
}

/** True when the worker says that it can load the resource if it is asked to. */
export function canLoad(hello: Pick<WorkerHello, "features" | "loadable">, resource: string): boolean {
  if (!hello.features.includes(PREPARE_RESOURCE)) return false;
  const { loadable = [] } = hello;
  if (loadable.length === 0) return true;
  return loadable.some((name) =>
    name.endsWith("*") ? resource.startsWith(name.slice(0, -1)) : name === resource,
  );
}

/** The feature of workers that load resources when asked. */
const PREPARE_RESOURCE = "prepare_resource";

/** A main loop that has not turned for this long is called blocked: 100 times the delay of a busy one. */
export const LOOP_BLOCKED_MS = 1_000;

/** States of a worker; derived, never self-reported. */
export type WorkerState =
  | "launching"
  | "connecting"
  | "registered"
  | "ready"
  | "draining"
  | "suspect"
  | "lost"
  | "gone"
  /** Rejected at registration; it has no session and no record. */
  | "refused";

/** Facts that decide the state of a living session. */
export interface LivingFacts {
  readonly disconnected: boolean;
  readonly leaseOver: boolean;
  readonly draining: boolean;
  readonly ready: boolean;
}

/** States of a living session, each with the facts of which one suffices; the first that applies is the state. */
export const LIVING_STATES = [
  { state: "suspect", facts: ["disconnected", "leaseOver"] },
  { state: "draining", facts: ["draining"] },
  { state: "ready", facts: ["ready"] },
] as const satisfies readonly { state: WorkerState; facts: readonly (keyof LivingFacts)[] }[];

/** State of a living session to which no fact applies. */
export const OTHER_LIVING_STATE = "registered" satisfies WorkerState;

/** State of an ended session. */
export function endedState(goneReason: string | undefined): WorkerState {
  return goneReason === "lost" ? "lost" : "gone";
}

/**
 * Derives the state from what was received and when.
 *
 * @param now The database's clock, like the record's times.
 */
export function workerState(record: WorkerRecord, now: Date): WorkerState {
  if (record.goneTime) return endedState(record.goneReason);
  if (!hasRegistered(record)) return isConnecting(record.launch?.phases ?? []) ? "connecting" : "launching";
  const facts: LivingFacts = {
    disconnected: record.disconnected,
    leaseOver: record.leaseUntil !== undefined && record.leaseUntil < now,
    draining: record.draining,
    ready: record.ready,
  };
  const first = LIVING_STATES.find((each) => each.facts.some((fact) => facts[fact]));
  return first?.state ?? OTHER_LIVING_STATE;
}

/** The role of the store that keeps worker sessions, their leases, and the worker streams that were rejected. */
import type { AttemptKey } from "../domain/ids.ts";
import type { OutcomeDecision } from "../domain/tasks/outcome/outcome.ts";
import type { CompletionRecord } from "../domain/workers/completions.ts";
import type { Contest, Contested, ProcessName } from "../domain/workers/contest.ts";
import type { OperatorPause } from "../domain/workers/operator-pause.ts";
import type { QuarantineRecord } from "../domain/workers/quarantine.ts";
import type { RejectedStream, RejectedWorker } from "../domain/workers/rejected-worker.ts";
import type {
  FatalRecord,
  HeartbeatRecord,
  StartupPhaseRecord,
  WorkerHello,
} from "../domain/workers/worker.ts";
import type { DefaultAddressed, WorkerSetting } from "../domain/workers/worker-setting.ts";
import type { AttemptRow } from "./attempts.ts";

/** A worker's registration. */
export interface SessionOpen {
  readonly uuid: string;
  readonly workerId: string;
  readonly hello: WorkerHello;
  /** Absent or empty from an SDK that does not say them. */
  readonly settings?: readonly WorkerSetting[];
  readonly phases: readonly StartupPhaseRecord[];
  readonly ready: boolean;
  readonly draining: boolean;
  /** Attempts that the worker reports as in flight. */
  readonly inFlight: readonly AttemptKey[];
}

/** The result of a registration. */
export interface SessionOpened {
  /** Another living process has the worker id and keeps it for now: nothing was registered, and the rest is empty. */
  readonly contested?: Contested | undefined;
  readonly sessionId: number;
  /** Attempts that are the session's: the worker's in-flight ones, and those it does not have yet. */
  readonly attempts: readonly AttemptRow[];
  /** An operator has paused the worker id. */
  readonly pause?: OperatorPause | undefined;
  /** It is quarantined, as it was before it reconnected: since then, and until its next probe. */
  readonly quarantined?: { readonly record: QuarantineRecord; readonly probeInMs: number } | undefined;
  /** What another scheduler counted of the session, and how long ago it wrote that. */
  readonly completed?: { readonly record: CompletionRecord; readonly ageMs: number } | undefined;
  /** Living sessions of the same worker id but the newest, which may be another than this: they are superseded. */
  readonly superseded: readonly { readonly sessionId: number; readonly schedulerId: string }[];
}

/** A renewal of leases. */
export interface Renewal {
  /** When, by the database's clock. */
  readonly at: Date;
  /** Sessions whose lease is no longer held by the scheduler that renewed. */
  readonly lost: readonly number[];
}

/** A session that was ended, with what it held. */
export interface GoneSession {
  readonly sessionId: number;
  readonly workerId: string;
  readonly schedulerId: string;
  readonly endedAttempts: readonly { readonly row: AttemptRow; readonly decision: OutcomeDecision }[];
  /** Since its last heartbeat, milliseconds. */
  readonly silentMs: number;
  /** Its process, when that was alive and another one took its worker id. */
  readonly tookFrom?: ProcessName | undefined;
}

/** Leases that count as expired. */
export interface ExpiredLeases {
  /** By the database's clock; earlier than now. */
  readonly asOf: Date;
  /** They had ended more than this before `asOf`, milliseconds. */
  readonly graceMs: number;
  /** Only those of this scheduler; of any without it. */
  readonly heldBy: string | undefined;
}

/** A session whose lease and grace are over and that was left as it is. */
export interface ObservedSession {
  readonly sessionId: number;
  readonly workerId: string;
  /** Since its last heartbeat, milliseconds. */
  readonly silentMs: number;
  readonly held: readonly AttemptRow[];
}

/** Why a session ends. */
export interface SessionEnd {
  readonly sessionId: number;
  /** The session that takes its place, when it is superseded. */
  readonly by?: number;
  readonly reason: string;
  readonly fatal: FatalRecord | undefined;
}

/** A session that ended, as the decision on its attempts needs it. */
export interface EndedSession {
  readonly workerId: string;
  readonly fatal: FatalRecord | undefined;
  /** All that it held. */
  readonly held: readonly AttemptRow[];
  /** It lived, and another process took its worker id. */
  readonly takenAlive: boolean;
  /** An operator had asked its supervisor to end its process. */
  readonly killRequested?: boolean;
  /** Its stream had ended, as it does when a process dies. */
  readonly disconnected: boolean;
  /** Earlier processes of its worker id that died or were lost within `LOSSES_WITHIN_MS`; planned stops are not. */
  readonly lossesBefore: number;
}

/** Decides how an attempt ends whose session ended. Pure. */
export type DecideLost = (row: AttemptRow, ended: EndedSession) => OutcomeDecision;

/** Rejected streams of one worker id from one machine, to be added to those known. Ages are milliseconds before the write. */
export interface RejectedWorkerWrite extends RejectedStream {
  readonly peerHost: string;
  readonly count: number;
  readonly firstAgeMs: number;
  readonly lastAgeMs: number;
}

/** A worker id that an operator has paused. */
export interface PausedWorker extends OperatorPause {
  readonly workerId: string;
}

/** A build that runs tasks of a type of a queue. */
export interface RunningBuild {
  readonly queue: string;
  readonly type: string;
  /** Empty for workers that name none. */
  readonly build: string;
}

/** Sessions of workers, their leases, and rejected workers. */
export interface SessionStore {
  /** Builds of the ready workers of all schedulers that take from these queues, by queue and type; empty for none. */
  runningBuilds(queues: readonly string[]): Promise<RunningBuild[]>;
  openSessions(opens: readonly SessionOpen[], schedulerId: string, leaseMs: number): Promise<SessionOpened[]>;
  recordStartup(
    sessionId: number,
    phases: readonly StartupPhaseRecord[],
    ready: boolean,
    draining: boolean,
  ): Promise<void>;
  /**
   * Those of the sessions that a newer one of the same worker id took the place of.
   *
   * @throws DatabaseUnavailableError
   */
  supersededOf(sessionIds: readonly number[]): Promise<ReadonlySet<number>>;

  /** Renews leases; returns the time, and the sessions whose lease another scheduler holds or that have ended. */
  renewLeases(
    heartbeats: readonly { sessionId: number; beat: HeartbeatRecord }[],
    schedulerId: string,
    leaseMs: number,
  ): Promise<Renewal>;
  /** Has leases of workers, and of schedulers, that end later than a new one would end when that does. */
  shortenLeases(leaseMs: number): Promise<void>;
  /** After a dropped stream: the lease ends now, the grace begins. */
  disconnect(sessionId: number, schedulerId: string): Promise<void>;
  endSessions(ends: readonly SessionEnd[], decide: DecideLost): Promise<GoneSession[]>;
  /** Ends sessions whose lease has expired, and requeues what they held. */
  reapSessions(expired: ExpiredLeases, limit: number, decide: DecideLost): Promise<GoneSession[]>;
  /** Records sessions of which the same holds, each once for each expired lease, and ends none. */
  observeExpired(expired: ExpiredLeases, limit: number): Promise<ObservedSession[]>;
  /** Which scheduler holds each session's lease; sessions without a lease are missing. */
  leaseHolders(sessionIds: readonly number[]): Promise<ReadonlyMap<number, string>>;
  /** Worker ids that operators have paused. */
  pausedWorkers(): Promise<PausedWorker[]>;
  /** Pauses a worker id, or gives its pause a new reason. */
  pauseWorker(workerId: string, reason: string): Promise<void>;
  /** Ends the pause of a worker id; false when it is not paused. */
  resumeWorker(workerId: string, reason: string): Promise<boolean>;
  /** Contested worker ids, of one worker or of all, for which a process was made to wait within `withinMs`. */
  listContests(options: {
    workerId: string | undefined;
    withinMs: number;
    limit: number;
  }): Promise<Contest[]>;

  /** The living workers that dial the SDK's default address, and at most `limit` of them by name. */
  defaultAddressed(limit: number): Promise<DefaultAddressed>;

  /** Adds them, keeps at most `keep` rows in all, and returns how many others were dropped for it. */
  recordRejectedWorkers(
    rejected: readonly RejectedWorkerWrite[],
    schedulerId: string,
    keep: number,
  ): Promise<number>;
  /** These workers were admitted `ageMs` ago: earlier rejections no longer count. */
  forgetRejectedWorkers(workers: readonly { workerId: string; ageMs: number }[]): Promise<void>;
  /** Of one worker or of all, the latest first; at most 2,000. */
  listRejectedWorkers(workerId: string | undefined): Promise<RejectedWorker[]>;
}

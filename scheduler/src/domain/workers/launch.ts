/** Launches: the starts of worker processes and their ends. */
import type { FatalRecord, StartupPhaseRecord } from "./process-reports.ts";

/** What a cloud says of the end of the machine of a launch. Times count from the start of the process. */
export interface MachineNotice {
  /** `aws`, `gcp` or `azure`. */
  readonly source: string;
  /** The cloud's word: `terminate`, `preempted`. */
  readonly event: string;
  readonly detail: string;
  readonly receivedAfterMs: number;
  /** Undefined for an advice. */
  readonly endAfterMs?: number;
}

/** What a supervisor says of a start. */
export interface LaunchFacts {
  /** With secrets taken out. */
  readonly command: string;
  /** Machine of the supervisor. */
  readonly hostname: string;
  /** 0 when the process could not be started. */
  readonly pid: number;
  readonly supervisor: string;
  /** 1 for the first start, 2 for the first restart. */
  readonly startNumber: number;
  readonly registerTimeoutMs: number;
  /** Why its last dial failed; empty when none has. */
  readonly lastError: string;
  /** What the cloud says of the end of its machine. */
  readonly notice?: MachineNotice;
}

/** An operator's request to end a launched process. */
export interface LaunchStop {
  /** 1 for the first request for a launch. */
  readonly number: number;
  /** Who asked and why. */
  readonly reason: string;
  /** From SIGTERM to SIGKILL. */
  readonly graceMs: number;
  /** The supervisor is to start the command again at once; otherwise not at all. */
  readonly restart: boolean;
  readonly time: Date;
}

/** How a launched process ended, as its supervisor saw it. */
export interface ExitRecord {
  readonly exitCode?: number;
  /** Empty when no signal ended it. */
  readonly signal: string;
  readonly outOfMemory: boolean;
  readonly outOfMemoryEvidence: string;
  /** Why it could not be started; empty when it ran. */
  readonly startError: string;
  readonly fatal?: FatalRecord;
  /** The supervisor had been asked to stop it. */
  readonly stopRequested: boolean;
  /** Who asked to end it and why, when an operator did. */
  readonly killReason?: string;
  /** It ended because the cloud took its machine away. */
  readonly machineEnded?: boolean;
  readonly ranForMs: number;
}

/** Why a launch is over; one of the reasons for which a worker is gone. */
export type LaunchEndReason =
  | "finished"
  | "launch_failed"
  | "startup_timeout"
  | "fatal"
  | "killed"
  | "oom_killed"
  /** The supervisor fell silent before the process had registered. */
  | "lost"
  /** A newer process took its worker id, and its supervisor fell silent. */
  | "superseded";

/** The end of a launch. */
export interface LaunchEnd {
  readonly time: Date;
  readonly reason: LaunchEndReason;
  /** Undefined when its end was not observed. */
  readonly exit: ExitRecord | undefined;
  /** When the supervisor means to start it again. */
  readonly restartTime: Date | undefined;
  /** Undefined where it was not read. */
  readonly logTail: string | undefined;
  /** Attempts that were requeued because of it. */
  readonly requeued: number;
}

/** A start of a worker process as the store keeps it. */
export interface LaunchRecord extends LaunchFacts {
  /** In one order with the sessions. */
  readonly rowId: number;
  readonly id: string;
  readonly workerId: string;
  readonly pool: string;
  readonly phases: readonly StartupPhaseRecord[];
  readonly launchTime: Date;
  /** When the supervisor was last heard of. */
  readonly reportTime: Date;
  /** The last request of an operator to end it. */
  readonly stop?: LaunchStop;
  readonly end: LaunchEnd | undefined;
}

/** What a worker said when it registered, the last time that it did. */
export interface Served {
  readonly workerId: string;
  readonly pool: string;
  readonly types: readonly string[];
  readonly queues: readonly string[];
}

/** Phases that say more than that the process runs, in the SDK's words. */
const CONNECTING = "scheduler_connecting";
const REGISTERED = "registered";
const TIMED_OUT = "startup_timeout_unregistered";

/**
 * Exit codes above 128 that shells and containers make of signals that programs do not exit with by
 * themselves. 130 and 143 are not among them: a worker that gets a second signal exits with those.
 */
const CODES_OF_SIGNALS: ReadonlyMap<number, string> = new Map([
  [132, "SIGILL"],
  [134, "SIGABRT"],
  [135, "SIGBUS"],
  [136, "SIGFPE"],
  [137, "SIGKILL"],
  [139, "SIGSEGV"],
]);

/** Ends that a request to stop explains. */
const STOP_SIGNALS: ReadonlySet<string> = new Set(["SIGTERM", "SIGINT", "SIGHUP"]);

/** The signal that ended the process, also when a shell between reported it as an exit code; empty when none did. */
export function endingSignal({ signal, exitCode }: ExitRecord): string {
  return signal || (CODES_OF_SIGNALS.get(exitCode ?? 0) ?? "");
}

/** True when the process says that it is dialling. */
export function isConnecting(phases: readonly StartupPhaseRecord[]): boolean {
  return phases.some(({ phase }) => phase === CONNECTING);
}

/**
 * Why a launch is over.
 *
 * @param registered Whether the process was ever registered.
 */
export function launchEndReason(
  exit: ExitRecord,
  phases: readonly StartupPhaseRecord[],
  registered: boolean,
): LaunchEndReason {
  const wasRegistered = registered || phases.some(({ phase }) => phase === REGISTERED);
  if (exit.startError) return "launch_failed";
  if (exit.outOfMemory) return "oom_killed";
  // An operator wanted its end, whichever signal it took.
  if (exit.killReason) return "finished";
  const signal = endingSignal(exit);
  if (exit.stopRequested && (exit.exitCode === 0 || STOP_SIGNALS.has(signal))) return "finished";
  if (!wasRegistered && phases.some(({ phase }) => phase === TIMED_OUT)) return "startup_timeout";
  if (exit.fatal) return "fatal";
  // The time that the cloud gave it was over.
  if (exit.machineEnded) return "finished";
  if (signal) return "killed";
  if (!wasRegistered) return "launch_failed";
  return exit.exitCode === 0 ? "finished" : "fatal";
}

/** How it ended in words, after "it" or "the process": `was killed by SIGKILL`. */
export function exitInWords(exit: ExitRecord): string {
  if (exit.startError) return `could not be started: ${exit.startError}`;
  if (exit.outOfMemory) return `ran out of memory (${exit.outOfMemoryEvidence || "as its supervisor says"})`;
  if (exit.signal) return `was killed by ${exit.signal}`;
  const signal = endingSignal(exit);
  if (signal) return `ended with exit code ${exit.exitCode}, by which shells and containers report ${signal}`;
  return exit.exitCode === undefined ? "ended" : `exited with code ${exit.exitCode}`;
}

/** What is left of the time to register, milliseconds, negative when it is over. @param now The database's clock. */
export function registerTimeLeftMs(launch: LaunchRecord, now: Date): number {
  return launch.launchTime.getTime() + launch.registerTimeoutMs - now.getTime();
}

/** Kept of the time that is left for what follows a drain: up to 2 s for handlers to return, then results and the goodbye. */
const AFTER_DRAIN_MS = 10_000;

/** Of a short time, at most this share is kept. */
const LARGEST_SHARE = 1 / 3;

/** A drain has at least this, also when the machine was to end before, milliseconds. */
const SHORTEST_DRAIN_MS = 1_000;

/** A notice that the machine ends, and not only an advice. */
export type EndNotice = MachineNotice & { readonly endAfterMs: number };

/** True when the machine ends. */
export function endsMachine(notice: MachineNotice | undefined): notice is EndNotice {
  return notice?.endAfterMs !== undefined;
}

/** Time for the drain of a worker whose machine ends in `leftMs`. */
export function drainMs(leftMs: number): number {
  return Math.max(SHORTEST_DRAIN_MS, leftMs - Math.min(AFTER_DRAIN_MS, leftMs * LARGEST_SHARE));
}

/** When the machine of a launch ends, by the database's clock, milliseconds; undefined when it does not. */
export function machineEndMs({ launchTime, notice }: LaunchRecord): number | undefined {
  return endsMachine(notice) ? launchTime.getTime() + notice.endAfterMs : undefined;
}

/** Why the worker drains: `aws ends its machine (terminate)`. */
export function noticeInWords({ source, event }: MachineNotice): string {
  return `${source} ends its machine${event ? ` (${event})` : ""}`;
}

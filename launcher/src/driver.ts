/** The interface of launch drivers: what `muster launcher` needs of an engine that runs workers. */
import type { LaunchTemplate } from "@muster/protocol";
import type { Clock } from "./clock.ts";
import type { Environment } from "./environment.ts";
import type { LauncherLog } from "./launcher-log.ts";

/** Name of a driver: that of its field in the oneof `driver` of LaunchTemplate. */
export type DriverName = NonNullable<LaunchTemplate["driver"]["case"]>;

/** What a driver is made with. */
export interface DriverContext {
  /** Stable for as long as the state folder is; a driver marks with it what it makes in its engine. */
  readonly launcherId: string;
  /** Its folder in the launcher's state. A driver that needs one makes it. */
  readonly folder: string;
  /** Environment of the launcher with its connection to the scheduler. */
  readonly env: Environment;
  readonly clock: Clock;
  readonly log: LauncherLog;
}

/** Where the launcher reads a secret. */
export type SecretSource = { readonly variable: string } | { readonly file: string };

/** A worker that is to be started. */
export interface LaunchOrder {
  /** Unique, also among launches that have ended; the form of a DNS label, at most 60 characters. */
  readonly launchId: string;
  /** The same rules as `launchId`. */
  readonly pool: string;
  readonly workerId: string;
  /** The command with its arguments; empty for that of the image, where the engine has images. */
  readonly command: readonly string[];
  /** The settings of the driver: its field of LaunchTemplate. */
  readonly engine: LaunchTemplate["driver"];
  /**
   * The environment of the command besides that of its machine or its image: that of the template, `MUSTER_LAUNCH_ID`,
   * `WORKER_ID`, `MUSTER_POOL`, the connection to the scheduler, and the values of secrets. Paths in it are of the launcher's
   * machine. For a worker on that machine it has the launcher's PATH, HOME and the like as well.
   */
  readonly env: Readonly<Record<string, string>>;
  /** Names in `env` whose values are secrets: a driver neither logs nor reports them. */
  readonly secretNames: readonly string[];
  /** Where the launcher read them: a driver that reports output after a restart masks what is there then. */
  readonly secretSources: readonly SecretSource[];
  /** Time from the launch within which the worker is expected to be ready, milliseconds. The scheduler ends it then. */
  readonly startupTimeoutMs: number;
}

/** How far an engine has brought a launch. */
export type LaunchPhase =
  /** The engine has it, and no process runs yet. */
  | "pending"
  /** Its process runs. */
  | "running"
  /** Its process has ended, or will never run. */
  | "ended";

/** A launch as the driver sees it now. */
export interface ObservedLaunch {
  readonly launchId: string;
  readonly phase: LaunchPhase;
  /**
   * Why it is in this phase, in the engine's own word: `ImagePullBackOff`, `Unschedulable`, `OOMKilled`. `StartError` when
   * the command could not be started, `NotFound` for a launch of which the engine has no trace. Empty when there is nothing
   * to say.
   */
  readonly reason: string;
  /** The engine's sentence about it; empty for none. */
  readonly detail: string;
  /** Of an ended one; undefined when a signal ended it, or when it is not known. */
  readonly exitCode?: number | undefined;
  /** The signal that ended it; empty for none. */
  readonly signal: string;
  /** It ended because memory ran out. */
  readonly outOfMemory: boolean;
  /** Bytes of output so far, as far as the driver knows. */
  readonly outputBytes: number;
  /** Since the last output, milliseconds; undefined when there was none. */
  readonly outputAgeMs: number | undefined;
  /** The end of the output, at most 16,384 characters, secrets masked. */
  readonly logTail: string;
}

/**
 * Starts and ends workers on one engine. A driver is bound to what its engine keeps of a launch (a container's label, a pod's
 * name, a folder), never to its own memory: after a restart of the launcher it knows the same launches.
 *
 * What goes wrong with a single launch is an observation, not an exception: `launch` of an image that does not exist resolves,
 * and the launch is seen `pending` with the reason. A method throws only while the engine cannot be reached; the launcher
 * calls it again.
 */
export interface LaunchDriver {
  /**
   * Starts a worker. Idempotent by `order.launchId`, also across restarts of the launcher and when two calls run at once: a
   * launch that the engine has or had is left as it is.
   */
  launch(order: LaunchOrder): Promise<void>;
  /**
   * Asks the worker to end, and ends it when it still runs after the grace, which is at most 60 s. Resolves when the request is made. A repeated
   * call may shorten the grace. Of a launch that the engine does not know, `ended` with the reason `NotFound` is observed, and
   * a later `launch` with its id starts nothing.
   */
  stop(launchId: string, options: { readonly graceMs: number }): Promise<void>;
  /** Every launch of this launcher that the engine has and that was not forgotten, ended ones among them. */
  list(): Promise<ObservedLaunch[]>;
  /** Launches as they change, until `close`. The first observations are of what `list` has. */
  events(): AsyncIterable<ObservedLaunch>;
  /** The scheduler has recorded the end: what the engine keeps of an ended launch can be removed. */
  forget(launchId: string): Promise<void>;
  /** Ends `events`. Workers go on. */
  close(): Promise<void>;
}

/** The driver of workers as processes of this machine. */
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { signalGroup } from "@muster/common/process/process-group";
import type { DriverContext, LaunchDriver, LaunchOrder, ObservedLaunch } from "../driver.ts";
import { LaunchFolder, lives, type RecordedExit } from "./launch-folder.ts";
import { SECOND_STOP_MS, type SupervisedOrder } from "./supervised-order.ts";

/** Interval at which the folders are read, milliseconds. */
const LOOK_MS = 250;

/** Output that grows is reported at most this often, milliseconds. */
const OUTPUT_REPORT_MS = 2_000;

/** Longest grace between SIGTERM and SIGKILL, which the supervisor keeps; a shorter one is kept by this driver. */
const LONGEST_GRACE_MS = 60_000;

/** A supervisor that was sent the second signal and still runs is killed after this, milliseconds. */
const STUCK_SUPERVISOR_MS = 10_000;

/** Time between two signals to one supervisor, milliseconds. */
const SIGNAL_AGAIN_MS = 500;

/** Characters of output that are reported. */
const TAIL_CHARACTERS = 16 * 1024;

/** What it needs of its context: it keeps its launches in the folder, and the environment is that of the supervisors. */
type ProcessDriverOptions = Pick<DriverContext, "folder" | "env" | "clock">;

/** A stop that was asked for. */
interface Stop {
  readonly killAtMs: number;
  /** When the last signal was sent; undefined before the first. */
  signalledAtMs: number | undefined;
}

/**
 * Runs each worker under a supervisor of its own, the code of `muster run`, which reports the worker's start, phases and end to
 * the scheduler. Supervisors are processes of their own session: they and their workers outlive the launcher. What is known of
 * a launch is in its folder.
 */
export class ProcessDriver implements LaunchDriver {
  readonly #options: ProcessDriverOptions;
  readonly #closing = new AbortController();
  readonly #stops = new Map<string, Stop>();
  #wake = new AbortController();

  constructor(options: ProcessDriverOptions) {
    this.#options = options;
    mkdirSync(options.folder, { recursive: true, mode: 0o700 });
  }

  async launch(order: LaunchOrder): Promise<void> {
    const folder = this.#folderOf(order.launchId);
    folder.make();
    if (folder.supervisor !== undefined) return;
    const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
    const program = fileURLToPath(new URL(`./supervisor-main${extension}`, import.meta.url));
    const child = spawn(process.execPath, [...process.execArgv, program], {
      env: { ...this.#options.env },
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    });
    const supervised: SupervisedOrder = {
      folder: folder.path,
      launchId: order.launchId,
      workerId: order.workerId,
      pool: order.pool,
      command: order.command,
      directory: order.engine.case === "process" ? order.engine.value.directory : "",
      env: order.env,
      registerTimeoutMs: order.startupTimeoutMs,
      stopTimeoutMs: LONGEST_GRACE_MS,
    };
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      // The supervisor ended before it read all: it found the launch claimed, or its end is observed.
      child.stdin.once("error", () => resolve());
      child.stdin.end(JSON.stringify(supervised), () => resolve());
    });
    child.unref();
    this.#lookNow();
  }

  async stop(launchId: string, { graceMs }: { readonly graceMs: number }): Promise<void> {
    const folder = this.#folderOf(launchId);
    folder.make();
    // A supervisor that has not begun yet finds the launch claimed.
    if (folder.claim({ pid: 0, started: "" }))
      folder.exit = neverStarted("NotFound", "no process was started");
    const killAtMs = this.#options.clock.monotonic() + graceMs;
    const before = this.#stops.get(launchId);
    this.#stops.set(launchId, {
      killAtMs: Math.min(killAtMs, before?.killAtMs ?? killAtMs),
      signalledAtMs: before?.signalledAtMs,
    });
    this.#enforce(launchId);
    this.#lookNow();
  }

  async list(): Promise<ObservedLaunch[]> {
    return readdirSync(this.#options.folder).map((launchId) => this.#observe(launchId));
  }

  async *events(): AsyncIterable<ObservedLaunch> {
    const { clock } = this.#options;
    const reported = new Map<string, { text: string; bytes: number; atMs: number }>();
    while (!this.#closing.signal.aborted) {
      this.#wake = new AbortController();
      const launches = await this.list();
      for (const launch of launches) {
        this.#enforce(launch.launchId);
        const { outputBytes: bytes, outputAgeMs, logTail, ...state } = launch;
        const before = reported.get(launch.launchId);
        const now = { text: JSON.stringify(state), bytes, atMs: clock.monotonic() };
        // The first output is reported at once, its growth less often.
        const due = before?.bytes === 0 || now.atMs - (before?.atMs ?? 0) >= OUTPUT_REPORT_MS;
        if (before?.text === now.text && (before.bytes === bytes || !due)) continue;
        reported.set(launch.launchId, now);
        yield launch;
      }
      const present = new Set(launches.map(({ launchId }) => launchId));
      for (const launchId of reported.keys()) if (!present.has(launchId)) reported.delete(launchId);
      await clock.sleep(LOOK_MS, AbortSignal.any([this.#wake.signal, this.#closing.signal]));
    }
  }

  async forget(launchId: string): Promise<void> {
    const folder = this.#folderOf(launchId);
    if (folder.exit === undefined && (lives(folder.supervisor) || lives(folder.worker))) return;
    this.#stops.delete(launchId);
    rmSync(folder.path, { recursive: true, force: true });
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  /** Ends a launch that is to stop: SIGTERM once, then SIGKILL when its grace is over. */
  #enforce(launchId: string): void {
    const stop = this.#stops.get(launchId);
    if (!stop) return;
    const folder = this.#folderOf(launchId);
    const { supervisor, worker } = folder;
    const nowMs = this.#options.clock.monotonic();
    const overdueMs = nowMs - stop.killAtMs;
    if (folder.exit !== undefined) return;
    const { signalledAtMs } = stop;
    if (lives(supervisor) && supervisor) {
      // The supervisor passes the first signal on; a second one kills the worker's group. Two at once would reach it as one.
      if (signalledAtMs === undefined || (overdueMs >= 0 && nowMs - signalledAtMs >= SIGNAL_AGAIN_MS)) {
        stop.signalledAtMs = nowMs;
        signalProcess(supervisor.pid, "SIGTERM");
      }
      if (overdueMs < SECOND_STOP_MS + STUCK_SUPERVISOR_MS) return;
      signalProcess(supervisor.pid, "SIGKILL");
    }
    if (!lives(worker) || !worker) return;
    if (signalledAtMs === undefined) {
      stop.signalledAtMs = nowMs;
      signalGroup(worker.pid, "SIGTERM");
    }
    if (overdueMs >= 0) signalGroup(worker.pid, "SIGKILL");
  }

  #observe(launchId: string): ObservedLaunch {
    const folder = this.#folderOf(launchId);
    const output = folder.outputFacts;
    const seen = {
      launchId,
      signal: "",
      outOfMemory: false,
      outputBytes: output?.bytes ?? 0,
      outputAgeMs: output && Math.max(0, this.#options.clock.now() - output.changedMs),
      logTail: "",
    };
    // The supervisor is read first: it writes the exit before it ends.
    const { supervisor } = folder;
    const supervised = lives(supervisor);
    const { exit } = folder;
    if (exit) return { ...seen, ...exit, logTail: exit.logTail.slice(-TAIL_CHARACTERS), phase: "ended" };
    if (supervisor === undefined)
      return { ...seen, phase: "pending", reason: "", detail: "its supervisor has not begun" };
    if (supervised) return { ...seen, phase: "running", reason: "", detail: "" };
    if (lives(folder.worker)) {
      return { ...seen, phase: "running", reason: "SupervisorEnded", detail: "its supervisor was killed" };
    }
    return {
      ...seen,
      ...neverStarted("SupervisorEnded", "its supervisor was killed, so its exit code is not known"),
      phase: "ended",
    };
  }

  #folderOf(launchId: string): LaunchFolder {
    if (!/^[a-z][a-z0-9-]*$/.test(launchId)) throw new Error(`"${launchId}" is not the id of a launch`);
    return new LaunchFolder(join(this.#options.folder, launchId));
  }

  #lookNow(): void {
    this.#wake.abort();
  }
}

function neverStarted(reason: string, detail: string): RecordedExit {
  return { exitCode: undefined, signal: "", outOfMemory: false, detail, reason, logTail: "" };
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It ended between the look and the signal.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/** The stops that were asked for: a signal, a grace, a kill, and the removal of what survives a kill. */
import type { Clock } from "../clock.ts";
import type { LauncherLog } from "../launcher-log.ts";
import { containerName } from "./container.ts";
import type { ContainerFacts, DockerEngine } from "./engine.ts";

/** A container that was killed and still runs is killed again and then removed after this, milliseconds. */
const STUCK_MS = 10_000;

interface Stop {
  killAtMs: number;
  signalled: boolean;
  /** When it was killed last. */
  killedMs: number | undefined;
  /** It outlived its kill. */
  hangs: boolean;
}

/** What stops have to do with each launch. */
export class Stops {
  readonly #clock: Clock;
  readonly #log: LauncherLog;
  readonly #stops = new Map<string, Stop>();

  constructor(clock: Clock, log: LauncherLog) {
    this.#clock = clock;
    this.#log = log;
  }

  /** A repeated stop may only shorten the grace. */
  ask(launchId: string, graceMs: number): void {
    const killAtMs = this.#clock.monotonic() + graceMs;
    const before = this.#stops.get(launchId);
    if (before) before.killAtMs = Math.min(before.killAtMs, killAtMs);
    else this.#stops.set(launchId, { killAtMs, signalled: false, killedMs: undefined, hangs: false });
  }

  has(launchId: string): boolean {
    return this.#stops.has(launchId);
  }

  /** Launches that are to end. */
  get launchIds(): readonly string[] {
    return [...this.#stops.keys()];
  }

  hangs(launchId: string): boolean {
    return this.#stops.get(launchId)?.hangs ?? false;
  }

  done(launchId: string): void {
    this.#stops.delete(launchId);
  }

  /** Until the next one is due, milliseconds. */
  get dueMs(): number {
    const now = this.#clock.monotonic();
    const times = [...this.#stops.values()].map(({ killAtMs, killedMs }) =>
      killedMs === undefined ? killAtMs : killedMs + STUCK_MS,
    );
    return Math.max(0, Math.min(Number.POSITIVE_INFINITY, ...times) - now);
  }

  /** Carries out what is due of a container that runs. @throws EngineUnreachable */
  async enforce(launchId: string, facts: ContainerFacts, engine: DockerEngine): Promise<void> {
    const stop = this.#stops.get(launchId);
    if (!stop) return;
    const name = containerName(launchId);
    const now = this.#clock.monotonic();
    if (!stop.signalled) {
      if (facts.State.Paused) await engine.unpause(name);
      // Images can name the signal by which their programs end.
      await engine.kill(name, stopSignalOf(facts));
      stop.signalled = true;
    }
    if (now < stop.killAtMs) return;
    if (stop.killedMs === undefined) {
      await engine.kill(name, "SIGKILL");
      stop.killedMs = now;
      return;
    }
    if (now < stop.killedMs + STUCK_MS) return;
    stop.killedMs = now;
    if (!stop.hangs) {
      stop.hangs = true;
      const message = `the container of ${launchId} still runs ${STUCK_MS / 1_000} s after SIGKILL; the engine is asked to remove it`;
      this.#log.write("error", "launcher.stop_hangs", message, { launch_id: launchId });
    }
    await engine.remove(name);
  }
}

/** The types of the library lack the field. */
function stopSignalOf({ Config }: ContainerFacts): string {
  return (Config as { readonly StopSignal?: string }).StopSignal || "SIGTERM";
}

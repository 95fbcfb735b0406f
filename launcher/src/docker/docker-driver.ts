/** The driver of workers in containers of a Docker engine. */
import type { DriverContext, LaunchDriver, LaunchOrder, ObservedLaunch } from "../driver.ts";
import { Claims } from "./claims.ts";
import { containerName, containerOptions } from "./container.ts";
import { DockerEngine } from "./engine.ts";
import { EngineRefusal, EngineUnreachable } from "./engine-errors.ts";
import { KnownContainer } from "./known-container.ts";
import { NO_OUTPUT } from "./observation.ts";
import { Pulls } from "./pulls.ts";
import { pullPolicyOf, Start } from "./start.ts";
import { Stops } from "./stops.ts";

/** The engine is asked for its containers at least this often, whatever its events say, milliseconds. */
const RECONCILE_MS = 10_000;

/** Output and pulls that grow are reported at most this often, milliseconds. */
const GROWTH_MS = 2_000;

/** The stream of events is opened again after this, milliseconds. */
const EVENTS_RETRY_MS = 1_000;

/** Containers that are inspected at once. */
const INSPECTIONS = 8;

/**
 * Runs each worker in a container. What is known of a launch is its container, found by its labels; a launch whose container
 * was removed by hand is known by its claim in the state folder.
 */
export class DockerDriver implements LaunchDriver {
  readonly #context: DriverContext;
  readonly #claims: Claims;
  readonly #pulls: Pulls;
  readonly #stops: Stops;
  readonly #starts = new Map<string, Start>();
  readonly #known = new Map<string, KnownContainer>();
  /** Launches that were stopped before a process ran. */
  readonly #never = new Set<string>();
  /** Launches whose container is to be removed. */
  readonly #forgotten = new Set<string>();
  /** What the engine last said when it did not end or remove a container. */
  readonly #refusals = new Map<string, string>();
  readonly #closing = new AbortController();
  #engine: Promise<DockerEngine> | undefined;
  #unreachable = "";
  #looking: Promise<unknown> = Promise.resolve();
  #wake = new AbortController();

  constructor(context: DriverContext) {
    this.#context = context;
    this.#claims = new Claims(context.folder);
    this.#pulls = new Pulls(context.env, context.clock);
    this.#stops = new Stops(context.clock, context.log);
  }

  async launch(order: LaunchOrder): Promise<void> {
    const { launchId, engine: template } = order;
    if (template.case !== "docker") throw new TypeError(`${launchId} is no launch for Docker`);
    if (this.#starts.has(launchId) || this.#never.has(launchId) || this.#stops.has(launchId)) return;
    if (this.#known.get(launchId)?.wasStarted) return;
    const { launcherId, env, clock } = this.#context;
    const settings = template.value;
    const start = new Start(
      {
        ...{ launchId, image: settings.image, policy: pullPolicyOf(settings.pullPolicy) },
        container: containerOptions(order, settings, launcherId, env),
      },
      {
        ...{ pulls: this.#pulls, claims: this.#claims, clock, launcherId },
        engine: () => this.#connect(),
        onChange: () => this.#lookNow(),
      },
    );
    this.#starts.set(launchId, start);
    void start.run();
  }

  async stop(launchId: string, { graceMs }: { readonly graceMs: number }): Promise<void> {
    this.#starts.get(launchId)?.abort();
    this.#stops.ask(launchId, graceMs);
    this.#lookNow();
  }

  list(): Promise<ObservedLaunch[]> {
    const looked = this.#looking.then(() => this.#look());
    // The caller has the error; the next look begins after this one however it ends.
    this.#looking = looked.catch(() => undefined);
    return looked;
  }

  async *events(): AsyncIterable<ObservedLaunch> {
    const reading = new AbortController();
    const signal = AbortSignal.any([reading.signal, this.#closing.signal]);
    const listening = this.#listen(signal);
    try {
      yield* this.#changes();
    } finally {
      reading.abort();
      await listening;
    }
  }

  async *#changes(): AsyncIterable<ObservedLaunch> {
    const { clock } = this.#context;
    const reported = new Map<string, { text: string; bytes: number; atMs: number }>();
    while (!this.#closing.signal.aborted) {
      this.#wake = new AbortController();
      const launches = await this.list();
      for (const launch of launches) {
        const { outputBytes: bytes, outputAgeMs: _, logTail: __, detail, ...state } = launch;
        const before = reported.get(launch.launchId);
        // The detail of a pull changes with its bytes.
        const text = JSON.stringify(state.reason === "Pulling" ? state : { ...state, detail });
        const now = { text, bytes, atMs: clock.monotonic() };
        // The first output is reported at once, its growth less often.
        const due = before?.bytes === 0 || now.atMs - (before?.atMs ?? 0) >= GROWTH_MS;
        if (before?.text === now.text && (before.bytes === bytes || !due)) continue;
        reported.set(launch.launchId, now);
        yield launch;
      }
      const present = new Set(launches.map(({ launchId }) => launchId));
      for (const launchId of reported.keys()) if (!present.has(launchId)) reported.delete(launchId);
      const changing = launches.some(
        ({ launchId, phase }) =>
          (phase === "pending" && this.#starts.has(launchId)) || this.#known.get(launchId)?.followed,
      );
      const waitMs = Math.min(changing ? GROWTH_MS : RECONCILE_MS, this.#stops.dueMs + 1);
      await clock.sleep(waitMs, AbortSignal.any([this.#wake.signal, this.#closing.signal]));
    }
  }

  async forget(launchId: string): Promise<void> {
    this.#forgotten.add(launchId);
    this.#lookNow();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const start of this.#starts.values()) start.abort();
    for (const container of this.#known.values()) container.close();
  }

  /** Every launch, after what is due of the stops. */
  async #look(): Promise<ObservedLaunch[]> {
    // Before the containers are listed: the container of a claim that was there has to be among them.
    const starting = new Set<string>();
    const settled = new Set<string>();
    for (const [launchId, { running, state }] of this.#starts) {
      if (running) starting.add(launchId);
      else if (state.phase === "pending") settled.add(launchId);
    }
    const claimed = this.#claims.all().filter((id) => !starting.has(id));
    let present: ReadonlySet<string> | undefined;
    try {
      const engine = await this.#connect();
      present = await this.#refresh(engine, settled);
      for (const launchId of this.#stops.launchIds)
        if (!starting.has(launchId) && !this.#starts.get(launchId)?.running)
          await this.#enforce(launchId, engine, present);
      for (const launchId of this.#forgotten) await this.#remove(launchId, engine);
      this.#reached();
    } catch (error) {
      // An engine that refuses to list its containers shows no more than one that is gone.
      if (!(error instanceof EngineUnreachable || error instanceof EngineRefusal)) throw error;
      this.#lost(error);
    }
    return [...this.#observations(claimed, starting, present)];
  }

  /**
   * Updates what is known of each container. Answers the launches that have one.
   *
   * @param settled Launches whose start was over before: the list does not show when it failed.
   */
  async #refresh(engine: DockerEngine, settled: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    const { launcherId, clock } = this.#context;
    const listed = await engine.list(launcherId);
    const stale = listed.filter(
      ({ launchId, version }) => settled.has(launchId) || this.#known.get(launchId)?.version !== version,
    );
    for (let at = 0; at < stale.length; at += INSPECTIONS) {
      await Promise.all(
        stale.slice(at, at + INSPECTIONS).map(async ({ launchId, version }) => {
          const facts = await engine.inspect(containerName(launchId));
          if (!facts) return;
          const known =
            this.#known.get(launchId) ?? new KnownContainer(launchId, clock, () => this.#lookNow());
          this.#known.set(launchId, known);
          await known.update(version, facts, engine);
        }),
      );
    }
    const present = new Set(listed.map(({ launchId }) => launchId));
    for (const [launchId, known] of this.#known) {
      if (present.has(launchId)) continue;
      known.close();
      this.#known.delete(launchId);
    }
    // From here on the container says how it goes.
    for (const launchId of settled) this.#starts.delete(launchId);
    return present;
  }

  async #enforce(launchId: string, engine: DockerEngine, present: ReadonlySet<string>): Promise<void> {
    const known = this.#known.get(launchId);
    if (!present.has(launchId)) {
      if (!this.#claims.has(launchId) && !this.#starts.has(launchId)) this.#never.add(launchId);
      this.#stops.done(launchId);
    } else if (known?.runs)
      await this.#tried(launchId, () => this.#stops.enforce(launchId, known.facts, engine));
    else if (known?.wasStarted) this.#stops.done(launchId);
    else if (known) {
      this.#never.add(launchId);
      await this.#tried(launchId, async () => {
        await engine.remove(containerName(launchId));
        this.#claims.remove(launchId);
        this.#stops.done(launchId);
      });
    }
  }

  /** Removes what is kept of a launch that has ended. */
  async #remove(launchId: string, engine: DockerEngine): Promise<void> {
    const known = this.#known.get(launchId);
    // It ends soon, and the look that follows removes the container.
    if (this.#starts.get(launchId)?.running) return;
    if (known?.runs) {
      this.#forgotten.delete(launchId);
      return;
    }
    await this.#tried(launchId, async () => {
      // A container of this name that is not of this launcher is not its to remove.
      if (known) await engine.remove(containerName(launchId));
      this.#claims.remove(launchId);
      this.#starts.delete(launchId);
      this.#never.delete(launchId);
      this.#forgotten.delete(launchId);
      this.#known.delete(launchId);
      known?.close();
    });
  }

  /** A refusal to end or to remove a container is said, and tried again. */
  async #tried(launchId: string, action: () => Promise<void>): Promise<void> {
    try {
      await action();
      this.#refusals.delete(launchId);
    } catch (error) {
      if (!(error instanceof EngineRefusal)) throw error;
      if (this.#refusals.get(launchId) === error.message) return;
      this.#refusals.set(launchId, error.message);
      const message = `the Docker engine does not end or remove the container of ${launchId}: ${error.message}`;
      this.#context.log.write("warn", "launcher.engine_refused", message, { launch_id: launchId });
    }
  }

  *#observations(
    claimed: readonly string[],
    starting: ReadonlySet<string>,
    present: ReadonlySet<string> | undefined,
  ): Generator<ObservedLaunch> {
    const { clock } = this.#context;
    const seen = new Set<string>();
    for (const launchId of this.#never) {
      seen.add(launchId);
      yield ended(launchId, "NotFound", "it was stopped before its process was started");
    }
    for (const [launchId, { state }] of this.#starts) {
      if (seen.has(launchId)) continue;
      seen.add(launchId);
      const { phase, reason, detail, bytes, changedMs } = state;
      const outputAgeMs = changedMs === undefined ? undefined : Math.max(0, clock.now() - changedMs);
      yield { ...NO_OUTPUT, launchId, phase, reason, detail, outputBytes: bytes, outputAgeMs };
    }
    for (const [launchId, known] of this.#known) {
      if (seen.has(launchId)) continue;
      seen.add(launchId);
      const hangs = this.#stops.hangs(launchId);
      if (present) yield known.observe(hangs ? "it still runs after SIGKILL" : "");
      else yield { ...known.observe(""), ...(known.runs ? this.#engineAway() : {}) };
    }
    for (const launchId of claimed) {
      if (seen.has(launchId) || starting.has(launchId)) continue;
      if (present) yield ended(launchId, "ContainerRemoved", "its container was removed");
      else yield { ...NO_OUTPUT, launchId, phase: "pending", ...this.#engineAway() };
    }
  }

  #engineAway(): Pick<ObservedLaunch, "reason" | "detail"> {
    return {
      reason: "EngineUnreachable",
      detail: `the Docker engine cannot be reached: ${this.#unreachable}`,
    };
  }

  /** The engine of the state folder. @throws EngineUnreachable */
  async #connect(): Promise<DockerEngine> {
    this.#engine ??= this.#open();
    try {
      return await this.#engine;
    } catch (error) {
      this.#engine = undefined;
      throw error;
    }
  }

  async #open(): Promise<DockerEngine> {
    const engine = await DockerEngine.load(this.#context.clock);
    const fault = this.#claims.bind(await engine.id());
    if (fault) throw new EngineUnreachable(fault);
    return engine;
  }

  /** Looks whenever something happens to a container. */
  async #listen(signal: AbortSignal): Promise<void> {
    const { launcherId, clock } = this.#context;
    while (!signal.aborted) {
      try {
        const engine = await this.#connect();
        for await (const _ of engine.events(launcherId, signal)) this.#lookNow();
      } catch (error) {
        // The look that follows says what is wrong.
        if (!(error instanceof EngineUnreachable || error instanceof EngineRefusal)) throw error;
      }
      // What happened while nothing was listened to.
      this.#lookNow();
      await clock.sleep(EVENTS_RETRY_MS, signal);
    }
  }

  #lost({ message }: Error): void {
    if (this.#unreachable === "")
      this.#context.log.write(
        "error",
        "launcher.engine_unreachable",
        `the Docker engine cannot be reached: ${message}`,
        { error: message },
      );
    this.#unreachable = message;
    // The next engine may be another one.
    this.#engine = undefined;
  }

  #reached(): void {
    if (this.#unreachable !== "")
      this.#context.log.write("info", "launcher.engine_reached", "the Docker engine can be reached again");
    this.#unreachable = "";
  }

  #lookNow(): void {
    this.#wake.abort();
  }
}

function ended(launchId: string, reason: string, detail: string): ObservedLaunch {
  return { ...NO_OUTPUT, launchId, phase: "ended", reason, detail };
}

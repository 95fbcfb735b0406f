/** The client of LauncherService: keeps its stream, and passes on what the scheduler decides and what drivers see. */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import {
  type LaunchCommand,
  LaunchEnginePhase,
  type LauncherStreamRequest,
  LauncherStreamRequestSchema,
  type LauncherStreamResponse,
  type LaunchObservationSchema,
  type StopCommand,
} from "@muster/protocol";
import { type Client, MusterError } from "@muster/worker/client";
import type { Clock } from "./clock.ts";
import type { LaunchDriver, LaunchPhase, ObservedLaunch } from "./driver.ts";
import type { Environment } from "./environment.ts";
import type { LauncherLog } from "./launcher-log.ts";
import { SecretError, toLaunchOrder } from "./order.ts";
import { Outgoing } from "./outgoing.ts";

/** Delays between connections, doubling from the first to the last. */
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 5_000;

/** A driver that failed is asked again after this, milliseconds. */
const DRIVER_RETRY_MS = 1_000;

/** Answers that another try does not change. */
const VERDICTS: ReadonlySet<Code> = new Set([
  Code.Unauthenticated,
  Code.PermissionDenied,
  Code.Unimplemented,
  Code.InvalidArgument,
  Code.FailedPrecondition,
  // A newer process with the same state folder has connected.
  Code.Aborted,
]);

const PHASES: Readonly<Record<LaunchPhase, LaunchEnginePhase>> = {
  pending: LaunchEnginePhase.PENDING,
  running: LaunchEnginePhase.RUNNING,
  ended: LaunchEnginePhase.ENDED,
};

/** An engine cannot be asked what it has, so that there is no hello. */
class DriverListError extends Error {}

/** Options of a launcher. */
export interface LauncherOptions {
  readonly launcherId: string;
  /** Names of pools; empty for all. */
  readonly pools: readonly string[];
  /** By the name of their field in LaunchTemplate. */
  readonly drivers: ReadonlyMap<string, LaunchDriver>;
  /** Environment of the launcher with its connection to the scheduler. */
  readonly env: Environment;
  readonly client: Client;
  readonly clock: Clock;
  readonly log: LauncherLog;
  readonly version: string;
}

/**
 * Serves pools until stopped. The stream is opened again whenever it ends; each one begins with everything that the engines
 * have, so that nothing that happened in between is lost. Workers do not depend on the launcher.
 */
export class Launcher {
  readonly #options: LauncherOptions;
  readonly #session = randomUUID();
  readonly #stopping = new AbortController();
  /** Which driver has a launch. */
  readonly #driverOf = new Map<string, LaunchDriver>();
  /** Launches that could not be given to a driver: they have ended for the scheduler. */
  readonly #refused = new Map<string, ObservedLaunch>();
  #outgoing: Outgoing<LauncherStreamRequest> | undefined;
  #away = false;
  /** A scheduler has welcomed it. */
  #welcomed = false;
  #verdict: MusterError | undefined;

  constructor(options: LauncherOptions) {
    this.#options = options;
  }

  /**
   * Resolves when it has stopped.
   *
   * @throws MusterError when the scheduler refuses it: before it was ever connected, or because a newer one has its id.
   */
  async run(): Promise<void> {
    const { drivers, clock } = this.#options;
    const watching = [...drivers.values()].map((driver) => this.#watch(driver));
    let delayMs = FIRST_RETRY_MS;
    while (!this.#stopping.signal.aborted) {
      const began = clock.monotonic();
      await this.#connect();
      // A stream that lasted was no failure.
      if (clock.monotonic() - began > LAST_RETRY_MS) delayMs = FIRST_RETRY_MS;
      await clock.sleep(delayMs * (0.5 + Math.random() / 2), this.#stopping.signal);
      delayMs = Math.min(LAST_RETRY_MS, delayMs * 2);
    }
    await Promise.all([...drivers.values()].map((driver) => driver.close()));
    await Promise.all(watching);
    if (this.#verdict) throw this.#verdict;
  }

  /** Leaves the pools to another launcher. Workers go on. */
  stop(): void {
    this.#stopping.abort();
    this.#outgoing?.end();
  }

  async #connect(): Promise<void> {
    const { client, log } = this.#options;
    const outgoing = new Outgoing<LauncherStreamRequest>();
    const heartbeat = new AbortController();
    try {
      outgoing.push(await this.#hello());
      if (this.#stopping.signal.aborted) return;
      this.#outgoing = outgoing;
      for await (const response of client.launcher.launcherStream(outgoing)) {
        if (this.#away) log.write("info", "launcher.reconnected", "it is connected again");
        this.#away = false;
        await this.#take(response, outgoing, heartbeat.signal);
      }
    } catch (error) {
      const refused = error instanceof MusterError && VERDICTS.has(error.code);
      if (refused && (!this.#welcomed || error.code === Code.Aborted)) {
        this.#verdict = error;
        this.#stopping.abort();
      } else if (error instanceof DriverListError) {
        if (!this.#away)
          log.write("error", "launcher.driver_failed", `${messageOf(error)}; it connects when that succeeds`);
      } else if (!this.#away && !this.#stopping.signal.aborted)
        log.write("warn", "launcher.disconnected", `the stream to the scheduler ended: ${messageOf(error)}`);
      this.#away = true;
    } finally {
      heartbeat.abort();
      this.#outgoing = undefined;
      outgoing.end();
    }
  }

  async #hello(): Promise<LauncherStreamRequest> {
    const { launcherId, pools, drivers, version } = this.#options;
    const launches: ObservedLaunch[] = [...this.#refused.values()];
    for (const [name, driver] of drivers) {
      const listed = await driver.list().catch((error: unknown) => {
        throw new DriverListError(`the driver ${name} cannot list its launches: ${messageOf(error)}`, {
          cause: error,
        });
      });
      for (const launch of listed) {
        this.#driverOf.set(launch.launchId, driver);
        launches.push(launch);
      }
    }
    return request({
      case: "hello",
      value: {
        ...{
          launcherId,
          sessionId: this.#session,
          hostname: hostname(),
          program: `muster launcher ${version}`,
        },
        pools: [...pools],
        drivers: [...drivers.keys()],
        launches: launches.map(toObservation),
      },
    });
  }

  async #take(
    { message }: LauncherStreamResponse,
    outgoing: Outgoing<LauncherStreamRequest>,
    connected: AbortSignal,
  ): Promise<void> {
    const { log, launcherId } = this.#options;
    switch (message.case) {
      case "welcome": {
        const { heartbeatInterval } = message.value;
        this.#welcomed = true;
        log.write("info", "launcher.connected", `connected as ${launcherId}`, { launcher_id: launcherId });
        void this.#beat(
          heartbeatInterval ? durationMs(heartbeatInterval) : LAST_RETRY_MS,
          outgoing,
          connected,
        );
        break;
      }
      case "leases": {
        const { pools } = message.value;
        log.write(
          "info",
          "launcher.pools",
          pools.length === 0 ? "it has no pool" : `it has the pools ${pools.join(", ")}`,
          { pools },
        );
        break;
      }
      case "launch":
        await this.#launch(message.value, outgoing);
        break;
      case "stop":
        await this.#stop(message.value, outgoing);
        break;
      case "acknowledgements":
        for (const launchId of message.value.launchIds) await this.#forget(launchId);
        break;
      case undefined:
        // A kind that only a newer scheduler knows.
        break;
      default: {
        const unknown: never = message;
        throw new TypeError(`unknown message ${JSON.stringify(unknown)}`);
      }
    }
  }

  async #launch(command: LaunchCommand, outgoing: Outgoing<LauncherStreamRequest>): Promise<void> {
    const { drivers, env, log } = this.#options;
    const { launchId, pool, launchTemplate: template } = command;
    const name = template?.driver.case ?? "";
    const driver = drivers.get(name);
    const refuse = (detail: string) => {
      const observed = refusedLaunch(launchId, "StartError", detail);
      this.#refused.set(launchId, observed);
      log.write("error", "launcher.launch_refused", `${launchId} is not launched: ${detail}`, {
        launch_id: launchId,
        pool,
      });
      outgoing.push(observations([observed]));
    };
    if (!driver)
      return refuse(
        name ? `this launcher has no driver ${name}` : "this launcher does not know the driver; upgrade it",
      );
    try {
      const order = toLaunchOrder(command, env);
      this.#driverOf.set(launchId, driver);
      await driver.launch(order);
      log.write("info", "launcher.launched", `${launchId} is launched in pool ${pool}`, {
        launch_id: launchId,
        pool,
      });
    } catch (error) {
      if (error instanceof SecretError) return refuse(error.message);
      // The engine cannot be reached: the stream is opened again, and the scheduler sends the command again.
      throw new Error(`the driver ${name} failed: ${messageOf(error)}`, { cause: error });
    }
  }

  async #stop(
    { launchId, grace, reason }: StopCommand,
    outgoing: Outgoing<LauncherStreamRequest>,
  ): Promise<void> {
    const { log, drivers } = this.#options;
    const refused = this.#refused.get(launchId);
    if (refused) return outgoing.push(observations([refused]));
    const driver = this.#driverOf.get(launchId) ?? [...drivers.values()][0];
    log.write("info", "launcher.stopping", `${launchId} is to end: ${reason}`, {
      launch_id: launchId,
      reason,
    });
    await driver?.stop(launchId, { graceMs: grace ? durationMs(grace) : 0 });
  }

  async #forget(launchId: string): Promise<void> {
    this.#refused.delete(launchId);
    const driver = this.#driverOf.get(launchId);
    this.#driverOf.delete(launchId);
    await driver?.forget(launchId);
  }

  /** Reports what a driver sees for as long as the launcher runs; without a stream the next hello has it. */
  async #watch(driver: LaunchDriver): Promise<void> {
    const { log, clock } = this.#options;
    while (!this.#stopping.signal.aborted) {
      try {
        for await (const observed of driver.events()) {
          this.#driverOf.set(observed.launchId, driver);
          this.#outgoing?.push(observations([observed]));
        }
        return;
      } catch (error) {
        log.write("error", "launcher.driver_failed", `a driver cannot see its launches: ${messageOf(error)}`);
        await clock.sleep(DRIVER_RETRY_MS, this.#stopping.signal);
      }
    }
  }

  async #beat(
    intervalMs: number,
    outgoing: Outgoing<LauncherStreamRequest>,
    connected: AbortSignal,
  ): Promise<void> {
    while (!connected.aborted) {
      await this.#options.clock.sleep(intervalMs, connected);
      if (!connected.aborted) outgoing.push(request({ case: "heartbeat", value: {} }));
    }
  }
}

type Message = NonNullable<MessageInitShape<typeof LauncherStreamRequestSchema>["message"]>;

function request(message: Message): LauncherStreamRequest {
  return create(LauncherStreamRequestSchema, { message });
}

function observations(seen: readonly ObservedLaunch[]): LauncherStreamRequest {
  return request({ case: "observations", value: { observations: seen.map(toObservation) } });
}

function toObservation(seen: ObservedLaunch): MessageInitShape<typeof LaunchObservationSchema> {
  const {
    launchId,
    phase,
    reason,
    detail,
    exitCode,
    signal,
    outOfMemory,
    outputBytes,
    outputAgeMs,
    logTail,
  } = seen;
  return {
    ...{ launchId, reason, detail, signal, outOfMemory, logTail },
    phase: PHASES[phase],
    ...(exitCode === undefined ? {} : { exitCode }),
    outputBytes: BigInt(outputBytes),
    ...(outputAgeMs === undefined ? {} : { outputAge: durationFromMs(Math.round(outputAgeMs)) }),
  };
}

function refusedLaunch(launchId: string, reason: string, detail: string): ObservedLaunch {
  return {
    ...{ launchId, phase: "ended", reason, detail, signal: "", outOfMemory: false },
    ...{ outputBytes: 0, outputAgeMs: undefined, logTail: "" },
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

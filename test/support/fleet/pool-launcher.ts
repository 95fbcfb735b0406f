/** A launcher under test, and the pools that it serves. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kill } from "node:process";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { PoolLaunch, PoolSpecSchema, RolloutRuleSchema } from "@muster/protocol";
import { Program } from "../programs/program.ts";
import { workerCommand } from "../programs/supervised.ts";
import { until } from "../waits.ts";
import type { Fleet } from "./fleet.ts";

/** What a test sets of a pool; the rest is fast. */
export interface TestPool {
  readonly name: string;
  readonly min?: number;
  readonly max?: number;
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly startupMs?: number;
  readonly idleMs?: number;
  readonly drainMs?: number;
  readonly firstBackoffMs?: number;
  readonly minSamples?: number;
  readonly maxUnaccepted?: number;
  readonly maxStarting?: number;
  readonly rollout?: MessageInitShape<typeof RolloutRuleSchema>;
}

/** The spec of a pool whose workers are `workers/basic.ts`, on a queue of the pool's name. */
export function poolSpec(fleet: Fleet, pool: TestPool): MessageInitShape<typeof PoolSpecSchema> {
  const { name, min = 0, max = 3, command = workerCommand(), env = {} } = pool;
  return {
    name,
    offer: { taskTypes: ["echo", "gate", "sleep"], queues: [name], slots: 1 },
    minWorkers: min,
    maxWorkers: max,
    maxStarting: pool.maxStarting ?? 0,
    startupTimeout: durationFromMs(pool.startupMs ?? 60_000),
    idleTimeout: durationFromMs(pool.idleMs ?? 300_000),
    drainTimeout: durationFromMs(pool.drainMs ?? 60_000),
    scale: { stabilization: durationFromMs(0) },
    launchGuard: {
      window: durationFromMs(600_000),
      minSamples: pool.minSamples ?? 0,
      maxUnaccepted: pool.maxUnaccepted ?? 0,
      firstBackoff: durationFromMs(pool.firstBackoffMs ?? 600_000),
      maxBackoff: durationFromMs(600_000),
    },
    // Without a wait: what a test waits for is that a worker is ready.
    rollout: { minReady: durationFromMs(0), ...pool.rollout },
    launchTemplate: {
      command: [...command],
      env: { RUNS_FILE: fleet.runsFile, QUEUES: name, SLOTS: "1", ...env },
      driver: { case: "process", value: {} },
    },
  };
}

/** A launcher with a state folder of its own. */
export class TestLauncher {
  readonly folder = mkdtempSync(join(tmpdir(), "muster-launcher-"));
  readonly #fleet: Fleet;
  readonly #env: Readonly<Record<string, string>>;
  #program: Program | undefined;

  /** @param env Further variables of the launcher, for example its token. */
  constructor(fleet: Fleet, env: Readonly<Record<string, string>> = {}) {
    this.#fleet = fleet;
    this.#env = env;
  }

  /** Starts the program; another one takes over its folder when it is called again. */
  async start(options: { schedulers?: readonly string[]; args?: readonly string[] } = {}): Promise<Program> {
    const program = this.run(options);
    this.#program = program;
    await until("the launcher is connected", () => this.logged("launcher.pools")[0]);
    return program;
  }

  /** Starts the program beside the one that runs. */
  run(options: { schedulers?: readonly string[]; args?: readonly string[] } = {}): Program {
    const addresses = options.schedulers ?? this.#fleet.schedulers.map(({ grpc }) => grpc);
    return Program.start("muster launcher", "../../../cli/bin/muster.js", {
      base: import.meta.url,
      args: ["launcher", "--scheduler", addresses.join(","), ...(options.args ?? [])],
      env: { MUSTER_LAUNCHER_STATE: this.folder, ...this.#env },
    });
  }

  get program(): Program {
    if (this.#program === undefined) throw new Error("the launcher was not started");
    return this.#program;
  }

  /** Lines of the running launcher. */
  logged(event: string): readonly Readonly<Record<string, unknown>>[] {
    return this.program.stderr
      .split("\n")
      .filter((line) => line.startsWith("{") && line.endsWith("}"))
      .map((line): Readonly<Record<string, unknown>> => JSON.parse(line))
      .filter((line) => line.event === event);
  }

  /** Ids of the launches that have a folder. */
  launches(): string[] {
    const folder = join(this.folder, "process");
    return existsSync(folder) ? readdirSync(folder) : [];
  }

  /** A process of a launch; undefined before it was started. */
  pidOf(launchId: string, which: "supervisor" | "worker"): number | undefined {
    const file = join(this.folder, "process", launchId, `${which}.json`);
    if (!existsSync(file)) return undefined;
    const { pid } = JSON.parse(readFileSync(file, "utf8"));
    return Number(pid);
  }

  /** Ends the launcher and everything that it has launched, and removes its folder. */
  async stop(): Promise<void> {
    await this.#program?.end("SIGKILL");
    for (const launchId of this.launches()) {
      for (const which of ["supervisor", "worker"] as const) killNow(this.pidOf(launchId, which) ?? 0);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Launches of a pool, newest first. */
export async function launchesOf(fleet: Fleet, pool: string, open = false): Promise<PoolLaunch[]> {
  return (await fleet.client.pools.listPoolLaunches({ pool, open, pageSize: 1_000 })).launches;
}

function killNow(pid: number): void {
  if (pid <= 0) return;
  try {
    kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/** The launcher of `muster dev`: pools start workers as processes of this machine while the scheduler runs, and no longer. */
import { join } from "node:path";
import type { LaunchDriver } from "@muster/launcher";
import { Client } from "@muster/worker/client";
import type { Io } from "../io/io.ts";

/** The scheduler of the session. */
export interface DevScheduler {
  /** `host:port`. */
  readonly address: string;
  readonly token: string | undefined;
  /** Folder of its data; the launcher keeps its state in a folder of it. */
  readonly dataDir: string;
}

/** The launcher while it runs. */
export interface DevLauncher {
  /** Leaves the pools, and resolves when the workers that it has started are gone. */
  stop(): Promise<void>;
}

/** Time that a worker has to end by itself, and after which it is left alone when it cannot be killed either. */
const GRACE_MS = 5_000;
const GIVE_UP_MS = 15_000;

/** Interval of the looks at workers that end. */
const LOOK_MS = 100;

/** Longest wait for the end of the launcher's stream. */
const STREAM_END_MS = 2_000;

/**
 * Serves all pools of the driver `process`. Their workers get the environment that `muster launcher` would give them.
 *
 * @throws SetupError when its state folder cannot be used.
 */
export async function startDevLauncher(
  { address, token, dataDir }: DevScheduler,
  io: Io,
  version: string,
): Promise<DevLauncher> {
  const { Launcher, launcherLog, loadDriver, openLauncherState } = await import("@muster/launcher");
  const { clock } = io;
  const log = launcherLog(io.stderr, clock);
  // Not that of `muster launcher`, which may run beside it and outlives it.
  const state = openLauncherState(join(dataDir, "dev-launcher"));
  const { launcherId } = state;
  const env = {
    ...io.env,
    MUSTER_SCHEDULER_ADDR: address,
    ...(token === undefined ? {} : { MUSTER_TOKEN: token }),
  };
  const driver = await loadDriver("process", {
    ...{ launcherId, env, clock, log },
    folder: state.folderOf("process"),
  });
  const client = new Client({ scheduler: address, ...(token === undefined ? {} : { token }) });
  const launcher = new Launcher({
    ...{ launcherId, pools: [], drivers: new Map([["process", driver]]), env, client, clock, log, version },
  });
  const running = launcher.run().catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    log.write("error", "launcher.disconnected", `pools launch no workers in this session: ${why}`);
  });
  return {
    async stop() {
      // First, so that nothing replaces what ends.
      launcher.stop();
      await Promise.race([running, clock.sleep(STREAM_END_MS)]);
      await endWorkers(driver, io);
      client.close();
      state.release();
    },
  };
}

/** Ends what the driver has started, by force after the grace. */
async function endWorkers(driver: LaunchDriver, { clock }: Pick<Io, "clock">): Promise<void> {
  const began = clock.monotonic();
  const living = async () => (await driver.list()).filter(({ phase }) => phase !== "ended");
  for (let graceMs = GRACE_MS; ; ) {
    const launches = await living();
    const forMs = clock.monotonic() - began;
    if (launches.length === 0 || forMs > GIVE_UP_MS) return;
    // The request is repeated: only a call or the launcher enforces it.
    graceMs = Math.max(0, GRACE_MS - forMs);
    for (const { launchId } of launches) await driver.stop(launchId, { graceMs });
    await clock.sleep(LOOK_MS);
  }
}

/** Workers under `muster run`. */
import { execArgv, execPath } from "node:process";
import { fileURLToPath } from "node:url";
import type { Fleet } from "../fleet/fleet.ts";
import { bundled } from "./bundled.ts";
import { Program } from "./program.ts";

/** A worker file of `workers/` as a command. */
export function workerCommand(file = "basic.ts", nodeArgs: readonly string[] = []): string[] {
  return [
    execPath,
    ...execArgv.filter((arg) => !arg.startsWith("--test")),
    ...nodeArgs,
    bundled(fileURLToPath(new URL(`../workers/${file}`, import.meta.url))),
  ];
}

/** `muster run` with a worker of its own. */
export interface Supervised {
  readonly supervisor: Program;
  /** Pid of the process that was started last. */
  pid(): number;
  /** Lines of the supervisor itself, from its standard error. */
  logged(event: string): readonly Readonly<Record<string, unknown>>[];
}

/** Starts a command under `muster run`, by default `workers/basic.ts`; ready when this returns unless told otherwise. */
export async function supervise(
  fleet: Fleet,
  id: string,
  options: {
    command?: readonly string[];
    args?: readonly string[];
    env?: Readonly<Record<string, string>>;
    queue?: string;
    /** Where the worker finds the scheduler. */
    workerScheduler?: string;
    /** Where the supervisor reports. */
    scheduler?: string;
    waitReady?: boolean;
  } = {},
): Promise<Supervised> {
  const scheduler = options.scheduler ?? fleet.scheduler.grpc;
  const supervisor = Program.start(`muster run ${id}`, "../../../cli/bin/muster.js", {
    base: import.meta.url,
    args: [
      ...["run", "--scheduler", scheduler, "--restart", "never"],
      ...(options.args ?? []),
      "--",
      ...(options.command ?? workerCommand()),
    ],
    env: {
      MUSTER_SCHEDULER_ADDR: options.workerScheduler ?? scheduler,
      WORKER_ID: id,
      WORKER_LOG_LEVEL: "debug",
      RUNS_FILE: fleet.runsFile,
      QUEUES: options.queue ?? id,
      SLOTS: "2",
      ...options.env,
    },
  });
  if (options.waitReady ?? true) {
    await supervisor.line("worker.startup.phase", ({ phase }) => phase === "ready");
  }
  const logged = (event: string) =>
    supervisor.stderr
      .split("\n")
      .filter((line) => line.startsWith("{") && line.endsWith("}"))
      .map((line): Readonly<Record<string, unknown>> => JSON.parse(line))
      .filter((line) => line.event === event);
  return { supervisor, logged, pid: () => Number(logged("launch.started").at(-1)?.pid) };
}

/** `muster worker ID`: shows one worker; its subcommands pause, resume, release and kill it, run one from a file, or make one of a program. */
import { WorkerSchema } from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { signed } from "../../io/requester.ts";
import { writeWorker } from "../../output/fleet/worker-view.ts";
import { writeJson } from "../../output/json.ts";
import { counted } from "../../output/text.ts";
import { defineWorkerDev } from "./worker-dev.ts";
import { defineWorkerExec } from "./worker-exec.ts";
import { defineWorkerKill } from "./worker-kill.ts";

interface Options {
  readonly settings?: true;
  readonly json?: true;
}

interface PauseOptions {
  readonly reason?: string;
  readonly json?: true;
}

export function defineWorker(command: Command, io: Io, setExitCode: (code: number) => void): void {
  command
    .argument("<id>", "worker id (its newest session), or a session id")
    .description(
      "Shows one worker: its state, the attempts that it holds, its last heartbeat and its startup phases.",
    )
    .helpCommand(false)
    .option("--settings", "show the settings that have their defaults, too")
    .option("--json", "print the Worker as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  $ muster worker gpu-7\n  $ muster worker gpu-7 --json | jq .running",
    )
    .action((id: string, options: Options, self: Command) => showWorker(id, options, self, io));
  addConnectionOptions(command);
  addPauses(command, io);
  addRelease(command, io);
  defineWorkerKill(command.command("kill"), io);
  defineWorkerDev(command.command("dev"), io, setExitCode);
  defineWorkerExec(command.command("exec"), io);
}

async function showWorker(id: string, options: Options, command: Command, io: Io): Promise<void> {
  const worker = await withApiSession(command, io, async ({ fleet, call }) =>
    present((await fleet.getWorker({ workerId: id }, call)).worker, "a worker"),
  );
  if (options.json) writeJson(io.stdout, WorkerSchema, worker);
  else writeWorker(worker, io, options.settings ?? false);
}

function addPauses(worker: Command, io: Io): void {
  const pause = worker
    .command("pause")
    .argument("<id>", "worker id, or a session id")
    .summary("assign the worker no task until it is resumed")
    .description(
      "Assigns the worker no task until it is resumed. What it holds continues. The pause belongs to the worker id: it outlasts reconnects, restarts of the worker and of the scheduler.",
    )
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--json", "print the Worker as JSON")
    .addHelpText("after", '\nExamples:\n  $ muster worker pause gpu-7 --reason "the fan is loud"')
    .action((id: string, options: PauseOptions, self: Command) => pauseWorker(id, options, self, io));
  addConnectionOptions(pause);
  const resume = worker
    .command("resume")
    .argument("<id>", "worker id, or a session id")
    .summary("end a pause")
    .description(
      "Ends a pause. Resuming a worker that is not paused is harmless. A pause that the worker imposes on itself goes on.",
    )
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--json", "print the Worker as JSON")
    .addHelpText("after", "\nExamples:\n  $ muster worker resume gpu-7")
    .action((id: string, options: PauseOptions, self: Command) => resumeWorker(id, options, self, io));
  addConnectionOptions(resume);
}

function addRelease(worker: Command, io: Io): void {
  const release = worker
    .command("release")
    .argument("<id>", "worker id, or a session id")
    .summary("end the worker's quarantine")
    .description(
      "Ends the quarantine of a worker that failed far more often than its peers: it is assigned tasks as before. It may be quarantined again when it goes on failing.",
    )
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--json", "print the Worker as JSON")
    .addHelpText("after", '\nExamples:\n  $ muster worker release gpu-7 --reason "the driver is reinstalled"')
    .action((id: string, options: PauseOptions, self: Command) => releaseWorker(id, options, self, io));
  addConnectionOptions(release);
}

async function releaseWorker(id: string, options: PauseOptions, command: Command, io: Io): Promise<void> {
  const request = { workerId: id, reason: signed(options.reason) };
  const worker = await withApiSession(command, io, async ({ fleet, call }) =>
    present((await fleet.releaseWorker(request, call)).worker, "a worker"),
  );
  if (options.json) writeJson(io.stdout, WorkerSchema, worker);
  else io.stdout.write(`${worker.id} is not quarantined\n`);
}

async function pauseWorker(id: string, options: PauseOptions, command: Command, io: Io): Promise<void> {
  const request = { workerId: id, reason: signed(options.reason) };
  const worker = await withApiSession(command, io, async ({ fleet, call }) =>
    present((await fleet.pauseWorker(request, call)).worker, "a worker"),
  );
  if (options.json) writeJson(io.stdout, WorkerSchema, worker);
  else io.stdout.write(`${worker.id} is paused; it holds ${counted(worker.activeCount, "attempt")}\n`);
}

async function resumeWorker(id: string, options: PauseOptions, command: Command, io: Io): Promise<void> {
  const request = { workerId: id, reason: signed(options.reason) };
  const worker = await withApiSession(command, io, async ({ fleet, call }) =>
    present((await fleet.resumeWorker(request, call)).worker, "a worker"),
  );
  if (options.json) writeJson(io.stdout, WorkerSchema, worker);
  else if (worker.paused)
    io.stdout.write(`${worker.id} is resumed, and still pauses itself: ${worker.pauseReason}\n`);
  else io.stdout.write(`${worker.id} is resumed\n`);
}

import { WorkerSchema } from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { writeJson } from "../../output/json.ts";
import { writeWorker } from "../../output/worker-view.ts";
import { addWorkerPause } from "./worker-pause.ts";

interface Options {
  readonly json?: true;
}

/** `muster worker ID`: shows one worker; `muster worker pause ID` and `muster worker resume ID`. */
export function addWorker(program: Command, io: Io): void {
  const command = program
    .command("worker")
    .argument("<id>", "worker id (its newest session), or a session id")
    .summary("show one worker, or pause and resume it")
    .description(
      "Shows one worker: its state, the attempts that it holds, its last heartbeat and its startup phases.",
    )
    .helpCommand(false)
    .option("--json", "print the Worker as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  $ muster worker gpu-7\n  $ muster worker gpu-7 --json | jq .running",
    )
    .action((id: string, options: Options, self: Command) => showWorker(id, options, self, io));
  addConnectionOptions(command);
  addWorkerPause(command, io);
}

async function showWorker(id: string, options: Options, command: Command, io: Io): Promise<void> {
  const worker = await withApiSession(command, io, async ({ fleet, call }) =>
    present((await fleet.getWorker({ workerId: id }, call)).worker, "a worker"),
  );
  if (options.json) writeJson(io.stdout, WorkerSchema, worker);
  else writeWorker(worker, io);
}

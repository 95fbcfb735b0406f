/** `muster drain WORKER`: asks a worker to finish its attempts and exit. */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import { WorkerSchema } from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { argument } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { requester } from "../../io/requester.ts";
import { writeJson } from "../../output/json.ts";
import { counted } from "../../output/text.ts";

interface Options {
  readonly reason?: string;
  readonly within?: number;
  readonly json?: true;
}

export function defineDrain(command: Command, io: Io): void {
  command
    .argument("<worker>", "worker id, or a session id")
    .description(
      "Asks a worker to accept no new work, finish its attempts and exit. An attempt that is not finished in time is requeued and does not count.",
    )
    .option("--reason <text>", "reason to record; default: your user name")
    .option(
      "--within <duration>",
      "time to finish; default: the worker's drain timeout",
      argument(parseDuration),
    )
    .option("--json", "print the Worker as JSON")
    .addHelpText("after", '\nExamples:\n  $ muster drain gpu-7 --within 10m --reason "new driver"')
    .action((id: string, options: Options, self: Command) => drainWorker(id, options, self, io));
  addConnectionOptions(command);
}

async function drainWorker(id: string, options: Options, command: Command, io: Io): Promise<void> {
  const request = {
    workerId: id,
    reason: options.reason ?? requester(),
    ...(options.within === undefined ? {} : { timeout: durationFromMs(options.within) }),
  };
  const worker = await withApiSession(command, io, async ({ fleet, call }) =>
    present((await fleet.drainWorker(request, call)).worker, "a worker"),
  );
  if (options.json) writeJson(io.stdout, WorkerSchema, worker);
  else io.stdout.write(`${worker.id} is draining; it holds ${counted(worker.activeCount, "attempt")}\n`);
}

/** `muster worker kill ID`: ends the process of a worker. */
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import { formatDuration } from "@muster/common/text/duration-text";
import { type Worker, WorkerSchema } from "@muster/protocol";
import type { Command } from "commander";
import type { ApiSession } from "../../api/api-session.ts";
import { present, withApiSession } from "../../api/api-session.ts";
import { argument } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import { CliError } from "../../errors.ts";
import { ExitCode } from "../../exit-codes.ts";
import type { Io } from "../../io/io.ts";
import { signed } from "../../io/requester.ts";
import { exitText } from "../../output/fleet/launch-view.ts";
import { writeJson } from "../../output/json.ts";
import { counted } from "../../output/text.ts";

/** Time between two looks at the launch while `--wait` waits. */
const LOOK_EVERY_MS = 250;

/** With `--wait`, the time allowed beyond the grace: for the supervisor to receive the request and to report the end. */
const REPORT_MS = 30_000;

interface Options {
  readonly reason?: string;
  readonly grace?: number;
  readonly restart?: true;
  readonly wait?: true;
  readonly json?: true;
}

/** `muster worker kill ID`: ends the process of a worker through its supervisor. */
export function defineWorkerKill(command: Command, io: Io): void {
  command
    .argument("<id>", "worker id, a session id or a launch id")
    .summary("end the worker's process through its supervisor")
    .description(
      "Ends the process of a worker that runs under `muster run`: SIGTERM, after the grace SIGKILL to its whole process group. Attempts that it holds are requeued and do not count. Its supervisor does not start it again, and ends. A second kill can only shorten the grace.",
    )
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--grace <duration>", "time from SIGTERM to SIGKILL; default: 10s", argument(parseDuration))
    .option("--restart", "have the supervisor start the command again at once")
    .option("--wait", "wait until the supervisor has reported the end")
    .option("--json", "print the Worker as JSON")
    .addHelpText(
      "after",
      '\nExamples:\n  $ muster worker kill gpu-7 --reason "hangs in the driver" --wait\n  $ muster worker kill gpu-7 --grace 0s --restart',
    )
    .action((id: string, options: Options, self: Command) => killWorker(id, options, self, io));
  addConnectionOptions(command);
}

async function killWorker(id: string, options: Options, command: Command, io: Io): Promise<void> {
  const request = {
    workerId: id,
    reason: signed(options.reason),
    restart: options.restart ?? false,
    ...(options.grace === undefined ? {} : { grace: durationFromMs(options.grace) }),
  };
  const worker = await withApiSession(command, io, async (session) => {
    const { fleet, call } = session;
    const asked = present((await fleet.killWorker(request, call)).worker, "a worker");
    return options.wait ? ended(asked, session, io) : asked;
  });
  if (options.json) writeJson(io.stdout, WorkerSchema, worker);
  else io.stdout.write(`${outcomeText(worker)}\n`);
}

function outcomeText({ id, activeCount, launch }: Worker): string {
  if (launch?.exit) return `${id} has ended: ${exitText(launch.exit)}`;
  const grace = formatDuration(launch?.stop?.grace ? durationMs(launch.stop.grace) : 0);
  return `${id} is being killed: pid ${launch?.pid} on ${launch?.hostname} gets SIGTERM, and SIGKILL ${grace} later; it holds ${counted(activeCount, "attempt")}`;
}

/** The worker once its supervisor has reported the end. */
async function ended(asked: Worker, { fleet, call }: ApiSession, io: Io): Promise<Worker> {
  const launchId = asked.launch?.id ?? "";
  const graceMs = asked.launch?.stop?.grace ? durationMs(asked.launch.stop.grace) : 0;
  const until = io.clock.monotonic() + graceMs + REPORT_MS;
  for (;;) {
    const worker = present((await fleet.getWorker({ workerId: launchId }, call)).worker, "a worker");
    if (worker.launch?.exit) return worker;
    if (io.clock.monotonic() >= until) {
      throw new CliError(
        `the end of ${asked.id} was not reported within ${formatDuration(graceMs + REPORT_MS)}; the request stays recorded`,
        {
          exitCode: ExitCode.WAIT_TIMED_OUT,
          reason: "WAIT_TIMED_OUT",
          remedy: `\`muster why ${asked.id}\` shows the age of the last report of its supervisor`,
        },
      );
    }
    await io.clock.sleep(LOOK_EVERY_MS);
  }
}

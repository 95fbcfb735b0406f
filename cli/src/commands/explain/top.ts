/** `muster top`: shows the fleet on the whole screen. */

import { parseDuration } from "@muster/common/duration";
import type { Overview } from "@muster/protocol";
import { Client, MusterError } from "@muster/worker/client";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { CallError, describeFailure } from "../../api/failure-report.ts";
import { argument } from "../../arguments/parse.ts";
import { addConnectionOptions, callConfig } from "../../config.ts";
import { ExitCode } from "../../exit-codes.ts";
import type { Io } from "../../io/io.ts";
import type { Terminal } from "../../io/terminal.ts";
import { renderFrame, type View } from "../../top/frame.ts";

interface Options {
  readonly interval?: number;
  readonly once?: true;
}

const DEFAULT_INTERVAL_MS = 2_000;
const MIN_INTERVAL_MS = 250;
const MAX_INTERVAL_MS = 3_600_000;

/** Interval at which the time on the screen is redrawn. */
const TICK_MS = 1_000;

/** Timeout of a request; the screen shows that it failed, and the next one follows. */
const ANSWER_MS = 5_000;

/** Maximum entries of a list; more do not fit on a screen. */
const MAX_ENTRIES = 100;

const CTRL_C = "\u0003";
const CTRL_D = "\u0004";

/** `muster top`: a live view of the fleet. */
export function defineTop(command: Command, io: Io): void {
  command
    .description(
      "Shows queues, workers, running tasks and recent failures, what needs attention first, and refreshes until q or Ctrl-C. While the scheduler does not answer, the last answer stays on the screen with its age. Piped, or with --once, prints one frame.",
    )
    .option("--interval <duration>", "refresh interval, 250ms to 1h; default 2s", argument(parseInterval))
    .option("--once", "print one frame and exit")
    .addHelpText("after", "\nExamples:\n  $ muster top\n  $ muster top --interval 10s\n  $ muster top --once")
    .action((options: Options, self: Command) => showTop(options, self, io));
  addConnectionOptions(command);
}

async function showTop(options: Options, command: Command, io: Io): Promise<void> {
  if (options.once || !io.stdout.isTTY) return showOnce(command, io);
  await watch(options, command, io);
}

async function showOnce(command: Command, io: Io): Promise<void> {
  const { address, overview } = await withApiSession(command, io, async ({ client, fleet, call }) => ({
    address: client.addresses.join(", "),
    overview: present((await fleet.getOverview({}, call)).overview, "an overview"),
  }));
  const lines = renderFrame({
    overview,
    address,
    failure: undefined,
    silentMs: 0,
    time: io.clock.timeOfDay(),
    columns: io.stdout.columns,
    rows: undefined,
    colors: io.stdout.colors,
    help: "",
  });
  io.stdout.write(`${lines.map((line) => line.trimEnd()).join("\n")}\n`);
}

/** The last answer, and the result of the last request. */
interface Known {
  overview: Overview | undefined;
  failure: string | undefined;
  answeredAt: number;
}

async function watch(options: Options, command: Command, io: Io): Promise<void> {
  const { connection, timeoutMs } = callConfig(command, io.env);
  const client = new Client(connection);
  const over = new AbortController();
  const known: Known = { overview: undefined, failure: undefined, answeredAt: io.clock.now() };
  let terminal: Terminal | undefined;
  const { createLogUpdate } = await import("log-update");
  try {
    // A permanent error of the first request ends the command before the terminal is switched.
    await ask(client, known, Math.min(timeoutMs, ANSWER_MS), over.signal, io);
    terminal = io.openTerminal();
    const screen = terminal;
    let log = createLogUpdate(screen.stream);
    const draw = (): void => {
      if (!over.signal.aborted) log(renderFrame(viewOf(known, client, screen, io)).join("\n"));
    };
    screen.onKey((key) => {
      if (key === "q" || key === "Q" || key === CTRL_C || key === CTRL_D) over.abort();
    });
    screen.onEnd(() => over.abort());
    screen.onResize(() => {
      screen.wipe();
      log = createLogUpdate(screen.stream);
      draw();
    });
    draw();
    const asking = (async () => {
      while (!over.signal.aborted) {
        await io.clock.sleep(options.interval ?? DEFAULT_INTERVAL_MS, over.signal);
        if (over.signal.aborted) return;
        await ask(client, known, Math.min(timeoutMs, ANSWER_MS), over.signal, io);
        draw();
      }
    })();
    while (!over.signal.aborted) {
      await io.clock.sleep(TICK_MS, over.signal);
      draw();
    }
    await asking;
  } finally {
    over.abort();
    terminal?.close();
    client.close();
  }
}

/** One request. A transient failure is kept for the screen; a permanent one before the first answer is thrown. */
async function ask(
  client: Client,
  known: Known,
  timeoutMs: number,
  signal: AbortSignal,
  { clock }: Io,
): Promise<void> {
  try {
    const response = await client.fleet.getOverview({ limit: MAX_ENTRIES }, { timeoutMs, signal });
    known.overview = present(response.overview, "an overview");
    known.failure = undefined;
    known.answeredAt = clock.now();
  } catch (error) {
    if (!(error instanceof MusterError)) throw error;
    const failure = new CallError(error, client.addresses, timeoutMs);
    const report = describeFailure(failure);
    if (known.overview === undefined && report.exitCode !== ExitCode.UNREACHABLE) throw failure;
    known.failure = report.message;
  }
}

function viewOf(known: Known, client: Client, terminal: Terminal, io: Io): View {
  const { columns, rows } = terminal.size();
  return {
    overview: known.overview,
    failure: known.failure,
    silentMs: io.clock.now() - known.answeredAt,
    address: client.addresses.join(", "),
    time: io.clock.timeOfDay(),
    columns,
    // The cursor is below the frame; one more line would scroll the first one off the screen.
    rows: rows - 1,
    colors: io.stdout.colors,
    help: "q quits   muster why ID explains   muster doctor checks everything",
  };
}

function parseInterval(text: string): number {
  const ms = parseDuration(text);
  if (ms < MIN_INTERVAL_MS || ms > MAX_INTERVAL_MS)
    throw new RangeError(`"${text}" is out of range: give 250ms to 1h`);
  return ms;
}

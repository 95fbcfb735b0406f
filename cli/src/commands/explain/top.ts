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
import { type Opened, renderExplained } from "../../top/explained.ts";
import type { Findings } from "../../top/findings.ts";
import { layoutFrame, renderFrame, type View } from "../../top/frame.ts";
import { afterKey, isSame, type Place, START, type Subject } from "../../top/navigation.ts";

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

/** The diagnosis reads much: it is asked for less often than the counts, milliseconds. */
const DIAGNOSIS_MS = 5_000;

/** `muster top`: a live view of the fleet. */
export function defineTop(command: Command, io: Io): void {
  command
    .description(
      "Shows queues, workers, running tasks and recent failures, what is wrong first, and refreshes until q or Ctrl-C. The arrow keys or j and k choose a task or a worker, Enter explains it, and Esc goes back. While the scheduler does not answer, the last answer stays on the screen with its age. Piped, or with --once, prints one frame.",
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
  const { address, overview, findings } = await withApiSession(
    command,
    io,
    async ({ client, fleet, call }) => ({
      address: client.addresses.join(", "),
      overview: present((await fleet.getOverview({}, call)).overview, "an overview"),
      findings: await diagnose(client, call),
    }),
  );
  const lines = renderFrame({
    overview,
    findings,
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

/** The last answers, and the result of the last request. */
interface Known {
  overview: Overview | undefined;
  findings: Findings | undefined;
  failure: string | undefined;
  answeredAt: number;
  diagnosedAt: number;
  opened: Opened | undefined;
}

async function watch(options: Options, command: Command, io: Io): Promise<void> {
  const { connection, timeoutMs } = callConfig(command, io.env);
  const client = new Client(connection);
  const over = new AbortController();
  const known: Known = {
    ...{ overview: undefined, findings: undefined, failure: undefined, opened: undefined },
    ...{ answeredAt: io.clock.now(), diagnosedAt: Number.NEGATIVE_INFINITY },
  };
  const call = { timeoutMs: Math.min(timeoutMs, ANSWER_MS), signal: over.signal };
  let terminal: Terminal | undefined;
  const { createLogUpdate } = await import("log-update");
  try {
    // A permanent error of the first request ends the command before the terminal is switched.
    await ask(client, known, call, io);
    terminal = io.openTerminal();
    const screen = terminal;
    let log = createLogUpdate(screen.stream);
    let place = START;
    let rows: readonly Subject[] = [];
    let most = 0;
    const draw = (): void => {
      if (over.signal.aborted) return;
      const { opened } = known;
      if (place.opened && isSame(place.opened, opened?.subject) && opened) {
        const { columns, rows: height } = screen.size();
        const explained = renderExplained(opened, place.scrolled, { columns, rows: height - 1 }, io);
        most = explained.most;
        log(explained.lines.join("\n"));
        return;
      }
      const frame = layoutFrame(viewOf(known, place, client, screen, io));
      rows = frame.subjects;
      log(frame.lines.join("\n"));
    };
    screen.onKey((key) => {
      const next = afterKey(place, key, rows, most);
      if (next === undefined) return over.abort();
      const isOpened = next.opened !== undefined && !isSame(next.opened, place.opened);
      place = next;
      if (isOpened && next.opened) {
        known.opened = { subject: next.opened, explanation: undefined, failure: undefined };
        void explain(client, known, call).then(draw);
      } else if (!next.opened) known.opened = undefined;
      draw();
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
        await Promise.all([ask(client, known, call, io), explain(client, known, call)]);
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

type Call = { readonly timeoutMs: number; readonly signal: AbortSignal };

/** One request. A transient failure is kept for the screen; a permanent one before the first answer is thrown. */
async function ask(client: Client, known: Known, call: Call, { clock }: Io): Promise<void> {
  try {
    const response = await client.fleet.getOverview({ limit: MAX_ENTRIES }, call);
    known.overview = present(response.overview, "an overview");
    known.failure = undefined;
    known.answeredAt = clock.now();
  } catch (error) {
    if (!(error instanceof MusterError)) throw error;
    const failure = new CallError(error, client.addresses, call.timeoutMs);
    const report = describeFailure(failure);
    if (known.overview === undefined && report.exitCode !== ExitCode.UNREACHABLE) throw failure;
    known.failure = report.message;
    return;
  }
  if (clock.monotonic() - known.diagnosedAt < DIAGNOSIS_MS) return;
  known.findings = await diagnose(client, call);
  known.diagnosedAt = clock.monotonic();
}

async function diagnose(client: Client, call: Partial<Call>): Promise<Findings> {
  try {
    const { diagnosis } = await client.fleet.diagnose({}, call);
    return { checks: present(diagnosis, "a diagnosis").checks };
  } catch (error) {
    return { failure: messageOf(error, client, call) };
  }
}

/** Asks why the opened task or worker is as it is; does nothing while none is opened. */
async function explain(client: Client, known: Known, call: Call): Promise<void> {
  const asked = known.opened?.subject;
  if (asked === undefined) return;
  const { kind, id } = asked;
  const answer = await (kind === "task"
    ? client.tasks.explainTask({ taskId: id }, call)
    : client.fleet.explainWorker({ workerId: id }, call)
  ).catch((error: unknown) => ({ failure: messageOf(error, client, call) }));
  const opened = known.opened;
  // It may have been closed meanwhile.
  if (!opened || !isSame(opened.subject, asked)) return;
  known.opened =
    "failure" in answer
      ? { ...opened, failure: answer.failure }
      : { subject: asked, explanation: answer.explanation, failure: undefined };
}

/** @throws What is no error of a call. */
function messageOf(error: unknown, client: Client, { timeoutMs }: Partial<Call>): string {
  if (!(error instanceof MusterError)) throw error;
  return describeFailure(new CallError(error, client.addresses, timeoutMs ?? ANSWER_MS)).message;
}

function viewOf(known: Known, { selected }: Place, client: Client, terminal: Terminal, io: Io): View {
  const { columns, rows } = terminal.size();
  const { overview, findings, failure, answeredAt } = known;
  return {
    ...{ overview, findings, failure, selected, columns },
    silentMs: io.clock.now() - answeredAt,
    address: client.addresses.join(", "),
    time: io.clock.timeOfDay(),
    // The cursor is below the frame; one more line would scroll the first one off the screen.
    rows: rows - 1,
    colors: io.stdout.colors,
    help: selected
      ? `Enter explains ${selected.kind} ${selected.id}   Esc chooses none   q quits`
      : "j k or arrows choose a row   muster doctor checks everything   q quits",
  };
}

function parseInterval(text: string): number {
  const ms = parseDuration(text);
  if (ms < MIN_INTERVAL_MS || ms > MAX_INTERVAL_MS)
    throw new RangeError(`"${text}" is out of range: give 250ms to 1h`);
  return ms;
}

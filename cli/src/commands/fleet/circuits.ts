/** `muster circuits`: lists circuits with their state and what they have counted. */
import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { formatDuration } from "@muster/common/text/duration-text";
import type { Circuit } from "@muster/protocol";
import { CircuitState, ListCircuitsResponseSchema } from "@muster/protocol";
import type { Command } from "commander";
import { withApiSession } from "../../api/api-session.ts";
import { takePages } from "../../api/paging.ts";
import { wholeNumber } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { ageCell, enumName, momentCell } from "../../output/cells.ts";
import { hintMore, hintNone } from "../../output/hints.ts";
import { writeJson } from "../../output/json.ts";
import type { Cell } from "../../output/table.ts";
import { writeFields, writeTable } from "../../output/table.ts";

interface Options {
  readonly open?: true;
  readonly limit: number;
  readonly pageToken?: string;
  readonly json?: true;
}

const COLUMNS = [
  { title: "KEY", shrink: "last" },
  { title: "STATE" },
  { title: "SINCE" },
  { title: "FAILED", align: "right" },
  { title: "RATE", align: "right" },
  { title: "LIMIT", align: "right" },
  { title: "PROBES" },
  { title: "ERROR", shrink: "first" },
] as const;

export function defineCircuits(command: Command, io: Io): void {
  command
    .argument("[key]", "only this circuit, with its rule and its last errors")
    .description(
      "Lists circuits by key with their state, the failures among the results in the window, and when an open one probes.",
    )
    .option("--open", "only circuits that are open or half-open")
    .option("--limit <n>", "maximum number of circuits", wholeNumber(1, 100_000), 50)
    .option("--page-token <token>", "continue where an earlier list ended")
    .option("--json", "print the ListCircuitsResponse as JSON")
    .addHelpText(
      "after",
      `
FAILED are the failures among the results in the window, for example 9/12. It opens
when RATE, their share, reaches LIMIT with enough results. The counts of a circuit that
is open or half-open are those with which it opened.

Piped, each line has: key, state, since when, failures/results, rate, limit, when it
probes, attempt and code of the last error; with tabs between them.

Examples:
  $ muster circuits
  $ muster circuits --open
  $ muster circuits payments.charge`,
    )
    .action((key: string | undefined, options: Options, self: Command) =>
      listCircuits(key, options, self, io),
    );
  addConnectionOptions(command);
}

async function listCircuits(
  key: string | undefined,
  options: Options,
  command: Command,
  io: Io,
): Promise<void> {
  const page = await withApiSession(command, io, ({ fleet, call }) =>
    takePages(options.limit, options.pageToken ?? "", async (pageSize, pageToken) => {
      const asked = { pageSize, pageToken, key: key ?? "", notClosed: options.open === true };
      const response = await fleet.listCircuits(asked, call);
      return { items: response.circuits, nextPageToken: response.nextPageToken };
    }),
  );
  const { items, nextPageToken } = page;
  if (options.json) {
    const message = create(ListCircuitsResponseSchema, { circuits: [...items], nextPageToken });
    writeJson(io.stdout, ListCircuitsResponseSchema, message);
    return;
  }
  const [only] = items;
  if (key !== undefined && only) {
    writeCircuit(only, io);
    return;
  }
  writeTable(
    io.stdout,
    COLUMNS,
    items.map((circuit) => row(circuit, io)),
  );
  if (items.length === 0)
    hintNone(
      io,
      options.open ? "no circuit is open" : "no circuit has counted a result",
      "`muster submit TYPE --circuit KEY` submits a task with one",
    );
  hintMore(io, page);
}

/** The share of failures; empty without results. */
function rateText({ succeededCount, failedCount }: Circuit): string {
  const results = Number(succeededCount + failedCount);
  return results === 0 ? "" : (Number(failedCount) / results).toFixed(2);
}

function stateCell({ state }: Circuit, { stdout: { colors } }: Io): Cell {
  const paint = state === CircuitState.CLOSED ? colors.green : colors.red;
  return { text: enumName(CircuitState, state), paint };
}

function lastError({ failures: [last] }: Circuit): string {
  return last ? `${last.attemptId} ${last.code}` : "";
}

function row(circuit: Circuit, io: Io): (Cell | string)[] {
  const now = io.clock.now();
  const { failedCount, succeededCount } = circuit;
  return [
    circuit.key,
    stateCell(circuit, io),
    ageCell(circuit.stateTime, now),
    `${failedCount}/${failedCount + succeededCount}`,
    rateText(circuit),
    circuit.rule ? circuit.rule.failureRate.toFixed(2) : "",
    ageCell(circuit.probeTime, now),
    lastError(circuit),
  ];
}

function writeCircuit(circuit: Circuit, io: Io): void {
  const now = io.clock.now();
  const { failedCount, succeededCount, rule, openReason } = circuit;
  const results = failedCount + succeededCount;
  const length = (duration: Parameters<typeof durationMs>[0] | undefined) =>
    duration === undefined ? "" : formatDuration(durationMs(duration));
  writeFields(io.stdout, [
    ["key", circuit.key],
    ["state", stateCell(circuit, io)],
    ["since", momentCell(circuit.stateTime, now)],
    ["failures", `${failedCount} of ${results}${results > 0n ? ` (${rateText(circuit)})` : ""}`],
    [
      "opens at",
      rule &&
        `${rule.failureRate.toFixed(2)} of at least ${rule.minSamples} results in ${length(rule.window)}`,
    ],
    ["opened", circuit.openCount > 0 ? `${circuit.openCount} in a row` : undefined],
    ["opened by", openReason === "" ? undefined : openReason],
    ["probes at", momentCell(circuit.probeTime, now)],
    [
      "probes",
      rule && `${rule.probes} at once, after ${length(rule.openFor)}, later up to ${length(rule.maxOpenFor)}`,
    ],
    [
      "succeeded",
      circuit.state === CircuitState.HALF_OPEN ? `${circuit.probeSuccessCount} probes` : undefined,
    ],
    ["active", String(circuit.activeCount)],
    ...circuit.failures.map(({ attemptId, code, message, time }): [string, Cell | string | undefined] => [
      "error",
      `${attemptId} ${code}${message === "" ? "" : `: ${message}`} ${ageCell(time, now).text}`.trim(),
    ]),
  ]);
}

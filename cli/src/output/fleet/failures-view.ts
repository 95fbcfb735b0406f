/** Shows counts of failures. */
import type { Duration } from "@bufbuild/protobuf/wkt";
import { durationMs, timestampDate, timestampMs } from "@bufbuild/protobuf/wkt";
import { formatDuration } from "@muster/common/text/duration-text";
import type { FailureGroup, FailureStatistics, GetFailureStatisticsResponse } from "@muster/protocol";
import type { Io } from "../../io/io.ts";
import { ageCell } from "../cells.ts";
import { hintNone } from "../hints.ts";
import type { Cell } from "../table.ts";
import { writeTable } from "../table.ts";
import { factsText } from "../words/facts-text.ts";

const COLUMNS = [
  { title: "FAILED" },
  { title: "CODE" },
  { title: "CAUSE", shrink: "first" },
  { title: "FIRST" },
  { title: "LAST" },
  { title: "EXAMPLE" },
  { title: "WORKER", shrink: "first" },
  { title: "MESSAGE", shrink: "first" },
] as const;

/** A table of the attempts that failed and one of the tasks; when piped, lines that begin with the kind. */
export function writeFailures(statistics: GetFailureStatisticsResponse, io: Io): void {
  const { attempts, tasks, readTime, startTime, succeededAge, truncated } = statistics;
  const { stdout, stderr } = io;
  const kinds = [
    ["attempts", attempts],
    ["tasks", tasks],
  ] as const;
  if (!stdout.isTTY) {
    for (const [kind, counts] of kinds)
      writeTable(
        stdout,
        COLUMNS,
        (counts?.groups ?? []).map((group) => [kind, String(group.failedCount), ...row(group, io)]),
      );
    return;
  }
  if (readTime && startTime)
    stdout.write(
      `within ${formatDuration(timestampMs(readTime) - timestampMs(startTime))}, since ${timestampDate(startTime).toISOString()}\n`,
    );
  for (const [kind, counts] of kinds) {
    if (!counts) continue;
    stdout.write(`\n${totalText(kind, counts, succeededAge)}\n`);
    writeTable(
      stdout,
      COLUMNS,
      counts.groups.map((group) => [`${group.failedCount} of ${counts.failedCount}`, ...row(group, io)]),
    );
    const left = Number(counts.groupCount) - counts.groups.length;
    if (left > 0) stdout.write(stdout.colors.dim(`and ${left} more, with fewer failures each\n`));
  }
  if (truncated)
    stderr.write(
      `${stderr.colors.dim("the window was cut: it has more than 100,000 failures, of which the newest were counted")}\n`,
    );
  if (attempts?.failedCount === 0n && tasks?.failedCount === 0n)
    hintNone(io, "nothing failed in this window", "`muster failures --since 1d` looks further back");
}

/** `attempts: 10 failed, 90 succeeded (90.0 % success, counted up to 7 s ago)`. */
function totalText(
  kind: "attempts" | "tasks",
  { failedCount, succeededCount, successRate }: FailureStatistics,
  age: Duration | undefined,
): string {
  const failed = kind === "tasks" ? `${failedCount} failed for good` : `${failedCount} failed`;
  if (succeededCount === undefined) return `${kind}: ${failed}; the successes are not known`;
  const counted = age === undefined ? "" : `, counted up to ${formatDuration(durationMs(age))} ago`;
  const rate = successRate === undefined ? "" : ` (${(successRate * 100).toFixed(1)} % success${counted})`;
  return `${kind}: ${failed}, ${succeededCount} succeeded${rate}`;
}

function row(group: FailureGroup, io: Io): (Cell | string)[] {
  const now = io.clock.now();
  return [
    { text: group.code, paint: io.stdout.colors.yellow },
    group.cause,
    ageCell(group.firstTime, now),
    ageCell(group.lastTime, now),
    group.exampleAttemptId || group.exampleTaskId,
    group.exampleWorkerId,
    [group.exampleMessage, factsText(group.exampleFacts)].filter(Boolean).join(" "),
  ];
}

/** Shows what handlers measured. */
import { timestampDate, timestampMs } from "@bufbuild/protobuf/wkt";
import { formatDuration } from "@muster/common/text/duration-text";
import type { GetMetricStatisticsResponse } from "@muster/protocol";
import type { Io } from "../../io/io.ts";
import { hintNone } from "../hints.ts";
import { writeTable } from "../table.ts";
import { numberText } from "../words/facts-text.ts";

const COLUMNS = [
  { title: "QUEUE", shrink: "first" },
  { title: "TYPE", shrink: "first" },
  { title: "NAME" },
  { title: "SUM" },
  { title: "ATTEMPTS" },
  { title: "BY ATTEMPT" },
] as const;

/** A table of totals; when piped, a line for each. */
export function writeMetricTotals(statistics: GetMetricStatisticsResponse, io: Io): void {
  const { totals, totalCount, readTime, startTime } = statistics;
  const { stdout } = io;
  if (stdout.isTTY && readTime && startTime)
    stdout.write(
      `within ${formatDuration(timestampMs(readTime) - timestampMs(startTime))}, since ${timestampDate(startTime).toISOString()}\n\n`,
    );
  if (totals.length === 0) {
    hintNone(
      io,
      "no handler measured anything in this window",
      "`muster stats --since 1d` looks further back",
    );
    return;
  }
  writeTable(
    stdout,
    COLUMNS,
    totals.map(({ queue, taskType, name, sum, attemptCount }) => [
      ...[queue, taskType, name, numberText(sum), String(attemptCount)],
      attemptCount === 0n ? "" : numberText(Number((sum / Number(attemptCount)).toPrecision(6))),
    ]),
  );
  const left = Number(totalCount) - totals.length;
  if (left > 0 && stdout.isTTY)
    stdout.write(stdout.colors.dim(`and ${left} more: give --queue, --type or --name\n`));
}

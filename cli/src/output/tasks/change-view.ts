/** Shows what a change of many tasks has done. */
import type { Task } from "@muster/protocol";
import type { BulkProgress } from "@muster/worker/client";
import type { Io } from "../../io/io.ts";
import { ageCell, taskStateCell } from "../cells.ts";
import { writeTable } from "../table.ts";
import { oneLine } from "../text.ts";

/** How a change is called. */
export interface ChangeWords {
  /** The command, for example `muster cancel`. */
  readonly command: string;
  /** What is asked, for example `cancel them`. */
  readonly action: string;
  /** What has been done, without a full stop. */
  readonly done: (progress: Pick<BulkProgress, "done" | "requested">) => string;
}

const COLUMNS = [
  { title: "ID" },
  { title: "STATE" },
  { title: "TYPE", shrink: "last" },
  { title: "QUEUE", shrink: "last" },
  { title: "AGE" },
] as const;

/** The first tasks of a dry run. */
export function writeExamples(tasks: readonly Task[], { stdout, clock }: Io): void {
  writeTable(
    stdout,
    COLUMNS,
    tasks.map((task) => [
      task.id,
      taskStateCell(task, stdout.colors),
      task.taskType,
      task.queue,
      ageCell(task.createTime, clock.now()),
    ]),
  );
}

/** A line for each reason why tasks stay as they are. */
export function skippedLines({ skipped }: BulkProgress): string[] {
  return skipped.map(({ code, message, count, taskIds }) => {
    const more = count > taskIds.length ? ", ..." : "";
    return `skipped ${count}: ${code}: ${oneLine(message)} (${taskIds.join(", ")}${more})`;
  });
}

/** The section of workers in a frame of `muster top`. */
import { type Overview, type WorkerOverview, WorkerState } from "@muster/protocol";
import type { Colors } from "../io/io.ts";
import { enumName } from "../output/cells.ts";
import type { Cell } from "../output/table.ts";
import { busyText } from "../output/words/busy-text.ts";
import { type Section, span, WIDE_COLUMNS } from "./section.ts";

const COLUMNS = [
  { title: "WORKER", shrink: "first" },
  { title: "STATE" },
  { title: "BUSY", align: "right" },
  { title: "LAST" },
] as const;
const COMPLETED = [{ title: "5 MIN", align: "right" }, { title: "IDLE" }] as const;
const NOTE = { title: "NOTE", shrink: "last" } as const;

/** @param columns Of the terminal: what a worker has completed of late is shown on a wide one. */
export function workers({ workers: list, workerStates }: Overview, colors: Colors, columns: number): Section {
  const wide = columns >= WIDE_COLUMNS;
  const row = (worker: WorkerOverview): Cell[] => {
    const { workerId, state, problem, slotCount, heartbeatAge, completions } = worker;
    const bad = state === WorkerState.SUSPECT || state === WorkerState.REFUSED || state === WorkerState.LOST;
    const paint = bad ? colors.red : problem === "" ? String : colors.yellow;
    return [
      { text: workerId },
      { text: enumName(WorkerState, state), paint },
      { text: slotCount === 0 ? "" : busyText(worker) },
      { text: span(heartbeatAge) },
      ...(wide
        ? [
            { text: completions ? String(completions.recentCompletedCount) : "" },
            { text: span(completions?.idleAge) },
          ]
        : []),
      { text: problem, paint },
    ];
  };
  const counted = workerStates.reduce((sum, { workerCount }) => sum + Number(workerCount), 0);
  return {
    columns: [...COLUMNS, ...(wide ? COMPLETED : []), NOTE],
    rows: list.map(row),
    subjects: list.map(({ workerId }) => ({ kind: "worker", id: workerId })),
    none: "no workers: `muster why queue:NAME` shows what waits for one",
    total: Math.max(counted, list.length),
  };
}

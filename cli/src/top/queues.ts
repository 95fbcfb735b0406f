/** The section of queues in a frame of `muster top`. */
import type { Overview, QueueOverview } from "@muster/protocol";
import type { Colors } from "../io/io.ts";
import type { Cell } from "../output/table.ts";
import { type Section, span, WIDE_COLUMNS } from "./section.ts";

const COLUMNS = [
  { title: "QUEUE", shrink: "first" },
  { title: "READY", align: "right" },
  { title: "LATER", align: "right" },
  { title: "ACTIVE", align: "right" },
  { title: "OLDEST" },
] as const;
const COMPLETED = [{ title: "5 MIN", align: "right" }] as const;
const NOTE = { title: "NOTE", shrink: "last" } as const;

/** @param columns Of the terminal: what has succeeded of late is shown on a wide one. */
export function queues({ queues: list, queueCount }: Overview, colors: Colors, columns: number): Section {
  const wide = columns >= WIDE_COLUMNS;
  const row = ({ queue, unservableCount, unservableTaskType }: QueueOverview): Cell[] => {
    const note =
      unservableCount > 0n
        ? { text: `no worker for ${unservableCount} ${unservableTaskType}`, paint: colors.red }
        : queue?.paused
          ? { text: `paused: ${queue.pauseReason}`, paint: colors.yellow }
          : { text: "" };
    return [
      { text: queue?.name ?? "" },
      { text: String(queue?.readyCount ?? 0n) },
      { text: String(queue?.scheduledCount ?? 0n) },
      { text: String(queue?.activeCount ?? 0n) },
      { text: span(queue?.oldestReadyAge) },
      ...(wide ? [{ text: String(queue?.recentCompletedCount ?? 0n) }] : []),
      note,
    ];
  };
  return {
    columns: [...COLUMNS, ...(wide ? COMPLETED : []), NOTE],
    rows: list.map(row),
    none: "no queues yet: the first submit creates one",
    total: Number(queueCount),
  };
}

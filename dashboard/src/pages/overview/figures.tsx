/** The counts of the fleet. */
import type { Overview } from "@muster/protocol";
import type { ReactNode } from "react";
import { compact, durationMs, span } from "../../format/span.ts";
import { FigureRow } from "../../ui/figures/figures.tsx";

export function Figures({ overview }: { overview: Overview }): ReactNode {
  const { readyCount, scheduledCount, activeCount, stuckCount, recentFailureCount, recentCompletedCount } =
    overview;
  const { slotCount, activeSlotCount } = overview;
  const oldest = Math.max(-1, ...overview.queues.map(({ queue }) => durationMs(queue?.oldestReadyAge) ?? -1));
  return (
    <FigureRow
      figures={[
        {
          label: "Waiting",
          value: compact(readyCount),
          note: oldest < 0 ? "none could start" : `oldest ${span(Math.floor(oldest / 1_000) * 1_000)}`,
        },
        { label: "Scheduled", value: compact(scheduledCount), note: "for a time or a retry" },
        { label: "Active", value: compact(activeCount), note: "assigned or running" },
        {
          label: "Stuck",
          value: compact(stuckCount),
          note: "beyond its threshold",
          bad: stuckCount > 0n,
        },
        { label: "Succeeded", value: compact(recentCompletedCount), note: "within 5 min" },
        {
          label: "Failed",
          value: `${compact(recentFailureCount)}${recentFailureCount >= 10_000n ? "+" : ""}`,
          note: "within 1 h",
          bad: recentFailureCount > 0n,
        },
        {
          label: "Slots used",
          value: `${compact(activeSlotCount)} / ${compact(slotCount)}`,
          note:
            slotCount === 0n
              ? "no worker"
              : `${Math.round((100 * Number(activeSlotCount)) / Number(slotCount))} %`,
        },
      ]}
    />
  );
}

/** The counts of the fleet. */
import type { Overview } from "@muster/protocol";
import type { ReactNode } from "react";
import { compact, durationMs, span } from "../../format/span.ts";

export function Figures({ overview }: { overview: Overview }): ReactNode {
  const { readyCount, scheduledCount, activeCount, stuckCount, recentFailureCount, recentCompletedCount } =
    overview;
  const { slotCount, activeSlotCount } = overview;
  const oldest = Math.max(-1, ...overview.queues.map(({ queue }) => durationMs(queue?.oldestReadyAge) ?? -1));
  return (
    <dl className="figures">
      <Figure
        label="Waiting"
        value={compact(readyCount)}
        note={oldest < 0 ? "none could start" : `oldest ${span(Math.floor(oldest / 1_000) * 1_000)}`}
      />
      <Figure label="Scheduled" value={compact(scheduledCount)} note="for a time or a retry" />
      <Figure label="Active" value={compact(activeCount)} note="assigned or running" />
      <Figure label="Stuck" value={compact(stuckCount)} note="beyond its threshold" bad={stuckCount > 0n} />
      <Figure label="Succeeded" value={compact(recentCompletedCount)} note="within 5 min" />
      <Figure
        label="Failed"
        value={`${compact(recentFailureCount)}${recentFailureCount >= 10_000n ? "+" : ""}`}
        note="within 1 h"
        bad={recentFailureCount > 0n}
      />
      <Figure
        label="Slots used"
        value={`${compact(activeSlotCount)} / ${compact(slotCount)}`}
        note={
          slotCount === 0n
            ? "no worker"
            : `${Math.round((100 * Number(activeSlotCount)) / Number(slotCount))} %`
        }
      />
    </dl>
  );
}

function Figure({
  label,
  value,
  note,
  bad = false,
}: {
  label: string;
  value: string;
  note: string;
  bad?: boolean;
}): ReactNode {
  return (
    <div className="figure">
      <dt>{label}</dt>
      <dd className={bad ? "value bad" : "value"}>{value}</dd>
      <dd className="note">{note}</dd>
    </div>
  );
}

/** What a worker runs. */
import type { Worker } from "@muster/protocol";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { durationMs, span } from "../../format/span.ts";
import { Badge } from "../../ui/badge.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Progress } from "../../ui/progress.tsx";
import { Table } from "../../ui/table.tsx";

export function RunningAttempts({
  worker: { running, slotCount, activeCount },
}: {
  worker: Worker;
}): ReactNode {
  return (
    <Panel title="Runs now" note={`${activeCount} of ${slotCount} slots; as of its last heartbeat`} flush>
      {running.length === 0 ? (
        <p className="empty muted">Nothing.</p>
      ) : (
        <Table headings={["Attempt", "Phase", "Progress", "Note"]}>
          {running.map(({ attemptId, phase, phaseAge, progress, stuckPhases, cancelling, resultPending }) => (
            <tr key={attemptId}>
              <td>
                <Link to="/tasks/$id" params={{ id: attemptId.replace(/\.\d+$/, "") }} className="mono">
                  {attemptId}
                </Link>
              </td>
              <td>
                {phase || "–"} <span className="muted num">{span(durationMs(phaseAge) ?? 0)}</span>
              </td>
              <td>
                <Progress share={progress} />
              </td>
              <td>
                {stuckPhases.length > 0 ? <Badge tone="bad">stuck</Badge> : null}
                {cancelling ? "cancelling" : ""}
                {resultPending ? "its result waits for the acknowledgement" : ""}
              </td>
            </tr>
          ))}
        </Table>
      )}
    </Panel>
  );
}

/** Workers by state, and those that need attention. */
import type { Overview } from "@muster/protocol";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { compact } from "../../format/span.ts";
import { workerLook } from "../../format/worker-state.ts";
import { Badge } from "../../ui/badge.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Table } from "../../ui/table.tsx";

export function WorkersAtGlance({ overview, lines }: { overview: Overview; lines: number }): ReactNode {
  const { workerStates, workers } = overview;
  return (
    <Panel title="Workers" note={<Link to="/workers">All workers</Link>} flush>
      {workerStates.length === 0 ? (
        <p className="empty muted">No worker is connected.</p>
      ) : (
        <div className="empty">
          <ul className="states">
            {workerStates.map(({ state, workerCount }) => {
              const { word, tone } = workerLook(state);
              return (
                <li key={state}>
                  <Badge tone={tone}>
                    {compact(workerCount)} {word}
                  </Badge>
                </li>
              );
            })}
          </ul>
        </div>
      )}
      {workers.length === 0 ? null : (
        <Table headings={["Worker", "State", { title: "Slots", end: true }, "Problem"]}>
          {workers.slice(0, lines).map(({ workerId, state, problem, activeCount, slotCount }) => {
            const { word, tone } = workerLook(state);
            return (
              <tr key={workerId}>
                <td>
                  <Link to="/workers/$id" params={{ id: workerId }}>
                    {workerId}
                  </Link>
                </td>
                <td>
                  <Badge tone={tone}>{word}</Badge>
                </td>
                <td className="end">
                  {activeCount}/{slotCount}
                </td>
                <td>{problem}</td>
              </tr>
            );
          })}
        </Table>
      )}
    </Panel>
  );
}

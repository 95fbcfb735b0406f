/** Queues, those first whose oldest task has waited longest without a worker. */
import type { Overview, QueueOverview } from "@muster/protocol";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { compact, durationMs, span } from "../../format/span.ts";
import { Badge } from "../../ui/badge.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Table } from "../../ui/table.tsx";

export function QueuesAtGlance({
  overview: { queues },
  lines,
}: {
  overview: Overview;
  lines: number;
}): ReactNode {
  return (
    <Panel title="Queues" note={<Link to="/queues">All queues</Link>} flush>
      {queues.length === 0 ? (
        <p className="empty muted">No task was submitted yet.</p>
      ) : (
        <Table
          headings={[
            "Queue",
            { title: "Waiting", end: true },
            { title: "Oldest", end: true },
            { title: "Active", end: true },
            "State",
          ]}
        >
          {queues.slice(0, lines).map((line) => (
            <QueueLine key={line.queue?.name} line={line} />
          ))}
        </Table>
      )}
    </Panel>
  );
}

function QueueLine({
  line: { queue, unservableCount, unservableTaskType },
}: {
  line: QueueOverview;
}): ReactNode {
  if (!queue) return null;
  const oldest = durationMs(queue.oldestReadyAge);
  return (
    <tr>
      <td>
        <Link to="/queues/$name" params={{ name: queue.name }}>
          {queue.name}
        </Link>
      </td>
      <td className="end">{compact(queue.readyCount)}</td>
      <td className="end">{oldest === undefined ? "–" : span(Math.floor(oldest / 1_000) * 1_000)}</td>
      <td className="end">{compact(queue.activeCount)}</td>
      <td>
        {queue.paused ? (
          <Badge tone="warn" icon="pause">
            paused
          </Badge>
        ) : null}{" "}
        {unservableCount > 0n ? (
          <Badge tone="bad">
            no worker for {compact(unservableCount)} {unservableTaskType}
          </Badge>
        ) : null}
        {!queue.paused && unservableCount === 0n ? (
          <Badge tone="good">{queue.readyCount > 0n ? "served" : "empty"}</Badge>
        ) : null}
      </td>
    </tr>
  );
}

/** All queues: how much waits, how long, and why. */
import type { Queue, QueueOverview } from "@muster/protocol";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { fleet } from "../../data/transport.ts";
import { compact, durationMs, plural, span } from "../../format/span.ts";
import { Answer } from "../../ui/answer.tsx";
import { Badge } from "../../ui/badge.tsx";
import { Copyable } from "../../ui/copy.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Table } from "../../ui/table.tsx";
import { QueueActions } from "../queue/queue-actions.tsx";
import { waitingFor } from "./waiting-for.ts";

const QUEUES_MS = 3_000;
const MAX_QUEUES = 1_000;

export function Queues(): ReactNode {
  const queues = useLive(
    ["queues"],
    (options) => fleet.listQueues({ pageSize: MAX_QUEUES }, options),
    QUEUES_MS,
  );
  const overview = useLive(
    ["overview", 100],
    (options) => fleet.getOverview({ limit: 100 }, options),
    QUEUES_MS,
  );
  const lines = new Map((overview.data?.overview?.queues ?? []).map((line) => [line.queue?.name, line]));
  const freeSlots =
    Number(overview.data?.overview?.slotCount ?? 0n) - Number(overview.data?.overview?.activeSlotCount ?? 0n);
  return (
    <div className="page">
      <div className="title">
        <h1>Queues</h1>
      </div>
      <Answer query={queues}>
        {({ queues: list, nextPageToken }) =>
          list.length === 0 ? (
            <Panel title="No queue yet" flush>
              <div className="empty">
                <p>A queue is made by the first task that is submitted to it:</p>
                <Copyable text={`npx muster submit TYPE '{"any": "payload"}' --queue nightly`} />
              </div>
            </Panel>
          ) : (
            <Panel
              title={nextPageToken === "" ? plural(list.length, "queue") : `The first ${list.length} queues`}
              note="success rates are on a queue's page"
              flush
            >
              <Table
                headings={[
                  "Queue",
                  { title: "Waiting", end: true },
                  { title: "Oldest", end: true },
                  { title: "Scheduled", end: true },
                  { title: "Active", end: true },
                  { title: "Succeeded in 5 min", end: true },
                  "Why it waits",
                  { title: "Change", hidden: true },
                ]}
              >
                {list.map((queue) => (
                  <QueueRow
                    key={queue.name}
                    queue={queue}
                    line={lines.get(queue.name)}
                    freeSlots={freeSlots}
                  />
                ))}
              </Table>
            </Panel>
          )
        }
      </Answer>
    </div>
  );
}

function QueueRow({
  queue,
  line,
  freeSlots,
}: {
  queue: Queue;
  line: QueueOverview | undefined;
  freeSlots: number;
}): ReactNode {
  const oldest = durationMs(queue.oldestReadyAge);
  const { text, tone, icon } = waitingFor(queue, line, freeSlots);
  return (
    <tr>
      <td>
        <Link to="/queues/$name" params={{ name: queue.name }}>
          {queue.name}
        </Link>
      </td>
      <td className="end">{compact(queue.readyCount)}</td>
      <td className="end">{oldest === undefined ? "–" : span(Math.floor(oldest / 1_000) * 1_000)}</td>
      <td className="end">{compact(queue.scheduledCount)}</td>
      <td className="end">{compact(queue.activeCount)}</td>
      <td className="end">{compact(queue.recentCompletedCount)}</td>
      <td>
        <Badge tone={tone} {...(icon ? { icon } : {})}>
          {text}
        </Badge>
      </td>
      <td className="end">
        <QueueActions queue={queue} />
      </td>
    </tr>
  );
}

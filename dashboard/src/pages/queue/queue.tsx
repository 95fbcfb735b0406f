/** A queue: why its tasks wait, its depth by type, its failures and its settings. */
import { Code, ConnectError } from "@connectrpc/connect";
import type { Queue } from "@muster/protocol";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { fleet } from "../../data/transport.ts";
import { compact, durationMs, span } from "../../format/span.ts";
import { Answer } from "../../ui/answer.tsx";
import { Badge } from "../../ui/badge.tsx";
import { Copyable } from "../../ui/copy.tsx";
import { FactList } from "../../ui/fact-list.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Reasons } from "../../ui/reason.tsx";
import { Table } from "../../ui/table.tsx";
import { Ago } from "../../ui/time.tsx";
import { buildRuleText } from "./build-rule.ts";
import { QueueActions } from "./queue-actions.tsx";
import { QueueFailures } from "./queue-failures.tsx";
import { QueueSchedules } from "./queue-schedules.tsx";

const QUEUE_MS = 3_000;

const route = getRouteApi("/queues/$name");

export function QueuePage(): ReactNode {
  const { name } = route.useParams();
  // The list has a queue at the place of its name: the page after the names before it.
  const queue = useLive(["queue", name], (options) => findQueue(name, options), QUEUE_MS);
  const explanation = useLive(
    ["queue-explanation", name],
    (options) => fleet.explainQueue({ queue: name }, options),
    QUEUE_MS,
  );
  return (
    <div className="page">
      <div className="title">
        <h1>
          <span className="muted">Queue</span> {name}
        </h1>
        <div className="row">
          <Link className="button" to="/tasks" search={{ queue: name }}>
            Its tasks
          </Link>
          {queue.data ? <QueueActions queue={queue.data} /> : null}
        </div>
      </div>
      <Panel title="Why its tasks wait" flush>
        {isMissing(explanation.error) ? (
          <p className="empty">No task was ever submitted to a queue of this name.</p>
        ) : (
          <Answer query={explanation}>
            {({ explanation: found }) => (found ? <Reasons explanation={found} /> : null)}
          </Answer>
        )}
      </Panel>
      {queue.data ? <Depths queue={queue.data} /> : null}
      <QueueFailures queue={name} />
      {queue.data ? <Settings queue={queue.data} /> : null}
      <QueueSchedules queue={name} />
      <Panel title="From a terminal">
        <Copyable text={`npx muster why queue:${name}`} />
      </Panel>
    </div>
  );
}

function isMissing(error: unknown): boolean {
  return error !== null && ConnectError.from(error).code === Code.NotFound;
}

async function findQueue(
  name: string,
  options: { signal: AbortSignal; timeoutMs: number },
): Promise<Queue | null> {
  let pageToken = "";
  do {
    const page = await fleet.listQueues({ pageSize: 1_000, pageToken }, options);
    const found = page.queues.find((queue) => queue.name === name);
    if (found) return found;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return null;
}

function Depths({ queue }: { queue: Queue }): ReactNode {
  const { taskTypes, taskTypeCount } = queue;
  const oldest = durationMs(queue.oldestReadyAge);
  return (
    <Panel
      title="Task types"
      note={oldest === undefined ? "nothing waits" : `the oldest task has waited for ${span(oldest)}`}
      flush
    >
      <Table
        headings={[
          "Type",
          { title: "Waiting", end: true },
          { title: "Scheduled", end: true },
          { title: "Active", end: true },
          { title: "Succeeded in 5 min", end: true },
        ]}
      >
        {taskTypes.map(({ taskType, readyCount, scheduledCount, activeCount, recentCompletedCount }) => (
          <tr key={taskType}>
            <td>
              <Link to="/tasks" search={{ queue: queue.name, type: taskType }}>
                {taskType}
              </Link>
            </td>
            <td className="end">{compact(readyCount)}</td>
            <td className="end">{compact(scheduledCount)}</td>
            <td className="end">{compact(activeCount)}</td>
            <td className="end">{compact(recentCompletedCount)}</td>
          </tr>
        ))}
      </Table>
      {taskTypeCount > BigInt(taskTypes.length) ? (
        <p className="empty muted">and {compact(taskTypeCount - BigInt(taskTypes.length))} further types</p>
      ) : null}
    </Panel>
  );
}

function Settings({ queue }: { queue: Queue }): ReactNode {
  const {
    paused,
    pauseReason,
    pauseTime,
    maxWaitingCount,
    limitReason,
    weight,
    weightReason,
    rate,
    rateReason,
  } = queue;
  return (
    <Panel title="Settings">
      <FactList
        facts={[
          [
            "State",
            paused ? (
              <>
                <Badge tone="warn" icon="pause">
                  paused
                </Badge>{" "}
                {pauseReason} <Ago time={pauseTime} />
              </>
            ) : (
              "not paused"
            ),
          ],
          [
            "Limit of waiting tasks",
            maxWaitingCount === 0n ? "none" : `${compact(maxWaitingCount)}  ${limitReason}`,
          ],
          [
            "Rate limit",
            rate
              ? `${rate.limit} starts in ${span(durationMs(rate.period) ?? 0)}, ${rate.tokenCount} of ${rate.burst} left. ${rateReason}`
              : "none",
          ],
          ["Builds", buildRuleText(queue.settings?.buildRule)],
          ["Weight", `${weight} ${weightReason}`],
        ]}
      />
    </Panel>
  );
}

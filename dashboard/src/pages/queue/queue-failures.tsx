/** Failures of a queue within the last hour, by cause and code. */
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { fleet } from "../../data/transport.ts";
import { compact } from "../../format/span.ts";
import { Answer } from "../../ui/answer.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Table } from "../../ui/table.tsx";
import { Ago } from "../../ui/time.tsx";

const FAILURES_MS = 10_000;

export function QueueFailures({ queue }: { queue: string }): ReactNode {
  const statistics = useLive(
    ["queue-failures", queue],
    (options) => fleet.getFailureStatistics({ queue }, options),
    FAILURES_MS,
  );
  const rate = statistics.data?.attempts?.successRate;
  return (
    <Panel
      title="Failed attempts within the last hour"
      note={rate === undefined ? undefined : `${Math.round(rate * 1_000) / 10} % of the attempts succeeded`}
      flush
    >
      <Answer query={statistics}>
        {({ attempts }) =>
          attempts === undefined || attempts.groups.length === 0 ? (
            <p className="empty muted">No attempt failed.</p>
          ) : (
            <Table headings={["Code", "Cause", { title: "Attempts", end: true }, "Last", "Example"]}>
              {attempts.groups.map((group) => (
                <tr key={`${group.cause} ${group.code}`}>
                  <td className="mono">{group.code || "–"}</td>
                  <td>{group.cause}</td>
                  <td className="end">{compact(group.failedCount)}</td>
                  <td>
                    <Ago time={group.lastTime} />
                  </td>
                  <td>
                    <Link to="/tasks/$id" params={{ id: group.exampleTaskId }} className="mono">
                      {group.exampleTaskId}
                    </Link>
                    <div className="message">{group.exampleMessage}</div>
                  </td>
                </tr>
              ))}
            </Table>
          )
        }
      </Answer>
    </Panel>
  );
}

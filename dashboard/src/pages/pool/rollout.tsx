/** How far a changed template has reached the workers of a pool. */
import { type PoolRollout, RolloutState } from "@muster/protocol";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { plural } from "../../format/span.ts";
import { Badge } from "../../ui/badge.tsx";
import { FactList } from "../../ui/fact-list.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Progress } from "../../ui/progress.tsx";
import { Table } from "../../ui/table.tsx";
import { Ago } from "../../ui/time.tsx";

export function Rollout({ rollout }: { rollout: PoolRollout }): ReactNode {
  const { state, updatedReadyCount, remainingCount, remainders } = rollout;
  const paused = state === RolloutState.PAUSED;
  return (
    <Panel
      title={state === RolloutState.ROLLING_BACK ? "Rolling back" : "Rollout"}
      note={
        <>
          began <Ago time={rollout.startTime} />
        </>
      }
    >
      <FactList
        facts={[
          [
            "State",
            <Badge key="state" tone={paused ? "bad" : "info"} {...(paused ? { icon: "pause" as const } : {})}>
              {paused ? "paused" : "under way"}
            </Badge>,
          ],
          [
            "Workers",
            <Progress
              key="share"
              share={updatedReadyCount / Math.max(1, updatedReadyCount + remainingCount)}
            />,
          ],
          [
            "Ready with the new template",
            `${updatedReadyCount} of ${plural(updatedReadyCount + remainingCount, "worker")}`,
          ],
          ["From", version(rollout.fromTemplateVersion, rollout.fromBuildId)],
          ["To", version(rollout.toTemplateVersion, rollout.toBuildId)],
          ["Why", rollout.reason],
          ["Failed launches", rollout.failedCount === 0 ? undefined : String(rollout.failedCount)],
          [
            "What paused it",
            rollout.failedLaunchId === "" ? undefined : (
              <span key="why">
                <code>{rollout.cause}</code> {rollout.summary} (<code>{rollout.failedLaunchId}</code>)
              </span>
            ),
          ],
        ]}
      />
      {remainders.length === 0 ? null : (
        <details>
          <summary>Workers of other templates ({remainingCount})</summary>
          <Table headings={["Worker", "Build", { title: "Holds", end: true }, "State"]}>
            {remainders.map((worker) => (
              <tr key={worker.workerId}>
                <td>
                  <Link to="/workers/$id" params={{ id: worker.workerId }}>
                    {worker.workerId}
                  </Link>
                </td>
                <td>{version(worker.templateVersion, worker.buildId)}</td>
                <td className="end">{worker.heldCount}</td>
                <td>{worker.stopping ? "finishes what it holds" : "waits for its turn"}</td>
              </tr>
            ))}
          </Table>
        </details>
      )}
    </Panel>
  );
}

function version(template: bigint, build: string): string {
  return build === "" ? `template ${template}` : `${build} (template ${template})`;
}

/** Tasks that are running and tasks that failed, as lines. */
import type { Overview, TaskOverview } from "@muster/protocol";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { compact, durationMs, span } from "../../format/span.ts";
import { Badge } from "../../ui/badge.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Progress } from "../../ui/progress.tsx";
import { Table } from "../../ui/table.tsx";

interface LinesProps {
  readonly overview: Overview;
  readonly lines: number;
}

export function RunningTasks({ overview: { running, activeCount }, lines }: LinesProps): ReactNode {
  return (
    <Panel
      title="Active tasks, the longest in their phase first"
      note={
        <Link to="/tasks" search={{ state: "assigned,running" }}>
          All {compact(activeCount)}
        </Link>
      }
      flush
    >
      {running.length === 0 ? (
        <p className="empty muted">No task runs now.</p>
      ) : (
        <Table headings={["Task", "Type", "Worker", "Phase", "Progress"]}>
          {running.slice(0, lines).map((task) => (
            <tr key={task.taskId}>
              <TaskCells task={task} />
              <td>
                {task.phase || "–"} <span className="muted num">{ageOf(task)}</span>{" "}
                {task.stuck ? <Badge tone="bad">stuck</Badge> : null}
              </td>
              <td>
                <Progress share={task.progress} />
              </td>
            </tr>
          ))}
        </Table>
      )}
    </Panel>
  );
}

export function RecentFailures({ overview: { failures }, lines }: LinesProps): ReactNode {
  return (
    <Panel
      title="Failed within the last hour"
      note={
        <Link to="/tasks" search={{ state: "failed" }}>
          All that failed
        </Link>
      }
      flush
    >
      {failures.length === 0 ? (
        <p className="empty muted">No task failed within the last hour.</p>
      ) : (
        <Table headings={["Task", "Type", "Worker", "Failure"]}>
          {failures.slice(0, lines).map((task) => (
            <tr key={task.taskId}>
              <TaskCells task={task} />
              <td>
                <Badge tone="bad">{task.failureCode}</Badge>{" "}
                <span className="muted num">{ageOf(task)} ago</span>
                <div className="message">{task.failureMessage}</div>
              </td>
            </tr>
          ))}
        </Table>
      )}
    </Panel>
  );
}

function TaskCells({ task: { taskId, taskType, workerId } }: { task: TaskOverview }): ReactNode {
  return (
    <>
      <td>
        <Link to="/tasks/$id" params={{ id: taskId }} className="mono">
          {taskId}
        </Link>
      </td>
      <td>{taskType}</td>
      <td>
        {workerId === "" ? (
          "–"
        ) : (
          <Link to="/workers/$id" params={{ id: workerId }}>
            {workerId}
          </Link>
        )}
      </td>
    </>
  );
}

function ageOf({ age }: TaskOverview): string {
  const ms = durationMs(age);
  return ms === undefined ? "" : span(Math.floor(ms / 1_000) * 1_000);
}

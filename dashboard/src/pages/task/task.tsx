/** A task: why it is in its state, its life, its data, its attempts and its log. */
import { Code, ConnectError } from "@connectrpc/connect";
import { type Task, TaskState } from "@muster/protocol";
import { useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { type ReactNode, useCallback } from "react";
import { useLive } from "../../data/live.ts";
import { type StreamState, useStream } from "../../data/stream.ts";
import { fleet, tasks } from "../../data/transport.ts";
import { taskLook } from "../../format/task-state.ts";
import { Answer } from "../../ui/answer.tsx";
import { Badge } from "../../ui/badge.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Progress } from "../../ui/progress.tsx";
import { Reasons } from "../../ui/reason.tsx";
import { Attempts } from "./attempts.tsx";
import { Data } from "./data.tsx";
import { Logs } from "./logs.tsx";
import { Stack } from "./stack.tsx";
import { TaskActions } from "./task-actions.tsx";
import { TaskFacts } from "./task-facts.tsx";
import { TimelineView } from "./timeline-view.tsx";
import { WorkerNow } from "./worker-now.tsx";

/** Of an open task, milliseconds; its changes come by the stream. */
const OPEN_MS = 3_000;
const ENDED_MS = 30_000;

const ENDED: ReadonlySet<TaskState> = new Set([TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED]);

const RUNNING: ReadonlySet<TaskState> = new Set([TaskState.ASSIGNED, TaskState.RUNNING]);

const route = getRouteApi("/tasks/$id");

export function TaskPage(): ReactNode {
  const { id } = route.useParams();
  const query = useLive(["task", id], (options) => tasks.getTask({ taskId: id }, options), OPEN_MS);
  const task = query.data?.task;
  if (!task && query.error && ConnectError.from(query.error).code === Code.NotFound)
    return <Missing id={id} />;
  return (
    <div className="page">
      <Answer query={query}>{() => (task ? <Open key={task.id} task={task} /> : null)}</Answer>
    </div>
  );
}

function Open({ task }: { task: Task }): ReactNode {
  const client = useQueryClient();
  const ended = ENDED.has(task.state);
  const every = ended ? ENDED_MS : OPEN_MS;
  const explanation = useLive(
    ["task-explanation", task.id, task.state],
    (options) => tasks.explainTask({ taskId: task.id }, options),
    every,
  );
  const events = useLive(
    ["task-events", task.id],
    (options) => fleet.listEvents({ taskId: task.id, pageSize: 1_000 }, options),
    every,
  );
  const look = taskLook(task.state);
  const refresh = useCallback(
    () =>
      client.invalidateQueries({
        predicate: ({ queryKey: [kind, id] }) =>
          id === task.id && typeof kind === "string" && kind.startsWith("task"),
      }),
    [client, task.id],
  );
  return (
    <>
      <div className="title">
        <div className="row">
          <h1 className="mono">{task.id}</h1>
          <Badge tone={look.tone}>{look.word}</Badge>
          {task.detail !== "" && task.detail !== look.word ? (
            <span className="muted">{task.detail}</span>
          ) : null}
          <span className="muted">
            {task.taskType} in{" "}
            <Link to="/queues/$name" params={{ name: task.queue }}>
              {task.queue}
            </Link>
          </span>
          {task.progress?.fraction !== undefined && !ended ? (
            <Progress share={task.progress.fraction} />
          ) : null}
        </div>
        <TaskActions task={task} ended={ended} />
      </div>
      {ended ? null : <Follow id={task.id} onChange={() => void refresh()} />}
      <Panel title="Why" flush>
        <Answer query={explanation}>
          {({ explanation: found }) => (found ? <Reasons explanation={found} /> : null)}
        </Answer>
      </Panel>
      <Panel title="Timeline">
        <Answer query={events}>{(answer) => <TimelineView task={task} answer={answer} />}</Answer>
        {RUNNING.has(task.state) ? <WorkerNow workerId={task.workerId} /> : null}
      </Panel>
      {RUNNING.has(task.state) ? <Stack key={task.attemptId} taskId={task.id} /> : null}
      <Attempts task={task} />
      <Data task={task} ended={ended} />
      <Logs task={task} />
      <TaskFacts task={task} />
    </>
  );
}

/** Asks anew at every change that the scheduler streams. */
function Follow({ id, onChange }: { id: string; onChange: () => void }): ReactNode {
  const state: StreamState = useStream(
    id,
    (signal) => tasks.watchTask({ taskId: id }, { signal }),
    ({ task }) => {
      if (task) onChange();
    },
  );
  return state.kind === "cut" ? (
    <p className="muted small" role="status">
      The stream of changes is cut ({state.why}); it is opened again, and the task is asked for every 3 s
      meanwhile.
    </p>
  ) : null;
}

function Missing({ id }: { id: string }): ReactNode {
  return (
    <div className="page">
      <h1>There is no task {id}</h1>
      <p>
        Either there never was one of this id, or its record was dropped by the retention (
        <code>--keep-days</code>). <Link to="/tasks">All tasks</Link>
      </p>
    </div>
  );
}

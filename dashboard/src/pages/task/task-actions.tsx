/** What may be done with a task, and the task as a command. */
import { readContent, type Task, TaskState } from "@muster/protocol";
import type { ReactNode } from "react";
import { BASE, tasks } from "../../data/transport.ts";
import { Action } from "../../ui/action.tsx";
import { CopyButton } from "../../ui/copy.tsx";
import { asCommand, asCurl } from "./as-command.ts";
import { RunEdited } from "./run-edited.tsx";

export function TaskActions({ task, ended }: { task: Task; ended: boolean }): ReactNode {
  const { id, hold, state } = task;
  const content = readContent(task.payload, task.contentType);
  const text = content.kind === "binary" ? undefined : content.text;
  const spec = { ...task, payloadText: task.omittedFields.includes("payload") ? undefined : text };
  return (
    <div className="row">
      <CopyButton text={asCommand(spec)} label="Copy as CLI" />
      <CopyButton text={asCurl(spec, BASE.href)} label="Copy as curl" />
      <RunEdited task={task} />
      {ended ? (
        <Action
          label="Retry"
          title={`Retry ${id}`}
          consequence="It is queued again, with a fresh retry budget."
          asksReason={false}
          call={() => tasks.retryTask({ taskId: id })}
        />
      ) : null}
      {state === TaskState.QUEUED && !hold ? (
        <Action
          label="Hold"
          title={`Hold ${id}`}
          consequence="It does not start until it is released."
          call={(reason) => tasks.holdTask({ taskId: id, reason })}
        />
      ) : null}
      {hold ? (
        <Action
          label="Release"
          title={`Release ${id}`}
          consequence="It waits for what it waited for before, or starts."
          call={(reason) => tasks.releaseTask({ taskId: id, reason })}
        />
      ) : null}
      {ended ? null : (
        <Action
          label="Cancel"
          title={`Cancel ${id}`}
          consequence={
            state === TaskState.QUEUED
              ? "It ends at once."
              : "Its worker is asked to stop; the task ends when the handler does."
          }
          danger
          call={(reason) => tasks.cancelTask({ taskId: id, reason })}
        />
      )}
    </div>
  );
}

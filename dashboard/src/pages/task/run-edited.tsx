/** Runs a task again with an edited payload: a new task, beside the old one. */
import type { Task } from "@muster/protocol";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, type ReactNode, useId, useState } from "react";
import { useAction, useMayChange } from "../../data/actions.ts";
import { messageOf, tasks } from "../../data/transport.ts";
import { Dialog } from "../../ui/dialog.tsx";
import { editableText, editedTask, payloadFault } from "./edited-task.ts";

export function RunEdited({ task }: { task: Task }): ReactNode {
  const [open, setOpen] = useState(false);
  const may = useMayChange();
  const text = editableText(task);
  if (!may || text === undefined) return null;
  return (
    <>
      <button type="button" className="button" onClick={() => setOpen(true)}>
        Run with another payload
      </button>
      {open ? <Editor task={task} text={text} onClose={() => setOpen(false)} /> : null}
    </>
  );
}

function Editor({ task, text, onClose }: { task: Task; text: string; onClose: () => void }): ReactNode {
  const [typed, setTyped] = useState(text);
  const navigate = useNavigate();
  const describes = useId();
  const fault = payloadFault(typed, task.contentType);
  const action = useAction(async () => {
    const { tasks: submitted } = await tasks.submitTasks({ tasks: [editedTask(task, typed)] });
    return submitted[0]?.taskId;
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (fault !== undefined) return;
    action.mutate("", {
      onSuccess: (id) => {
        onClose();
        if (typeof id === "string") void navigate({ to: "/tasks/$id", params: { id } });
      },
    });
  };
  return (
    <Dialog label={`Run ${task.id} with another payload`} onClose={onClose}>
      <form onSubmit={submit} className="payload-editor">
        <h2>Run {task.id} with another payload</h2>
        <p className="muted">
          A new task of type {task.taskType} is submitted to queue {task.queue}, with the same priority, tags,
          limits and requirements. {task.id} stays as it is, and keeps its unique key.
        </p>
        <label className="field">
          Payload ({task.contentType === "" ? "application/json" : task.contentType})
          <textarea
            className="input mono"
            rows={14}
            value={typed}
            spellCheck={false}
            aria-invalid={fault !== undefined}
            aria-describedby={describes}
            ref={(area) => {
              if (area && document.activeElement === document.body) area.focus();
            }}
            onChange={(event) => setTyped(event.target.value)}
          />
        </label>
        <p className={fault ? "fault" : "muted small"} id={describes} role="status">
          {fault ? `This is no JSON: ${fault}` : "It is sent as it stands here, with all digits of numbers."}
        </p>
        {action.error ? <p role="alert">{messageOf(action.error)}</p> : null}
        <menu>
          <button type="button" className="button" onClick={onClose}>
            Close
          </button>
          <button type="submit" className="button primary" disabled={action.isPending || fault !== undefined}>
            Run
          </button>
        </menu>
      </form>
    </Dialog>
  );
}

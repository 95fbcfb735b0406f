/** The payload, and the result. */
import type { Task } from "@muster/protocol";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { sessionQuery } from "../../data/session.ts";
import { bytes as size } from "../../format/span.ts";
import { ContentView } from "../../ui/content/content-view.tsx";
import { Hidden } from "../../ui/content/hidden.tsx";
import { Panel } from "../../ui/panel.tsx";

export function Data({ task, ended }: { task: Task; ended: boolean }): ReactNode {
  return (
    <div className="halves">
      <Panel title="Payload">
        <Part
          task={task}
          field="payload"
          bytes={task.payload}
          length={task.payloadBytes}
          contentType={task.contentType}
          none="It has no payload."
        />
      </Panel>
      <Panel title="Result">
        <Part
          task={task}
          field="output"
          bytes={task.output}
          length={task.outputBytes}
          contentType={task.outputContentType}
          none={ended ? "It has no result." : "It has not ended."}
        />
      </Panel>
    </div>
  );
}

function Part({
  task,
  field,
  bytes,
  length,
  contentType,
  none,
}: {
  task: Task;
  field: "payload" | "output";
  bytes: Uint8Array;
  length: bigint;
  contentType: string;
  none: string;
}): ReactNode {
  const { data: session } = useQuery(sessionQuery);
  if (session?.payloads === "never" && task.omittedFields.includes(field))
    return (
      <p className="muted">
        {size(length)}; this scheduler shows none to browsers (--dashboard-payloads never).
      </p>
    );
  const path = `v1/tasks/${task.id}/${field === "payload" ? "payload" : "result"}`;
  if (task.omittedFields.includes(field))
    return (
      <p>
        {size(length)} are too large to show with the task: <a href={path}>open it alone</a>
      </p>
    );
  return bytes.length === 0 ? (
    <p className="muted">{none}</p>
  ) : (
    <Hidden what={field === "payload" ? "the payload" : "the result"} note={size(length)}>
      <ContentView bytes={bytes} contentType={contentType} name={`${task.id}-${field}`} />
    </Hidden>
  );
}

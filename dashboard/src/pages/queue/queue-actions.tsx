/** Pauses and resumes a queue. */
import type { Queue } from "@muster/protocol";
import type { ReactNode } from "react";
import { fleet } from "../../data/transport.ts";
import { Action } from "../../ui/action.tsx";

export function QueueActions({
  queue: { name, paused },
}: {
  queue: Pick<Queue, "name" | "paused">;
}): ReactNode {
  return paused ? (
    <Action
      key="resume"
      label="Resume"
      title={`Resume the queue ${name}`}
      consequence="Its tasks are assigned again."
      asksReason={false}
      call={() => fleet.resumeQueue({ queue: name })}
    />
  ) : (
    <Action
      key="pause"
      label="Pause"
      title={`Pause the queue ${name}`}
      consequence="No task of it is assigned until it is resumed; tasks that run continue."
      call={(reason) => fleet.pauseQueue({ queue: name, reason })}
    />
  );
}

import type { SchedulerMessage } from "@muster/protocol";
import { msFromDuration } from "../../duration.ts";
import type { FromLink } from "../messages.ts";

/** Converts a message of the scheduler that the link only forwards to main; undefined for any other message. */
export function controlMessageFor(kind: SchedulerMessage["kind"]): FromLink | undefined {
  switch (kind.case) {
    case "drain":
      return { kind: "drain", reason: kind.value.reason, deadlineMs: msFromDuration(kind.value.timeout) };
    case "pause":
      return { kind: "pause", reason: kind.value.reason };
    case "resume":
      return { kind: "resume", reason: kind.value.reason };
    case "quarantine": {
      const { active, reason } = kind.value;
      return active
        ? {
            ...{ kind: "log", level: "warn", event: "worker.quarantined", fields: { reason } },
            message: `quarantined because ${reason}`,
          }
        : {
            ...{ kind: "log", level: "info", event: "worker.quarantine_ended", fields: { reason } },
            message: `the quarantine has ended (${reason})`,
          };
    }
    case "prepareResource": {
      const { resource, waitingTaskCount } = kind.value;
      return { kind: "prepareResource", resource, waitingTasks: Number(waitingTaskCount) };
    }
    case "releaseResource":
      return { kind: "releaseResource", resource: kind.value.resource, reason: kind.value.reason };
    case "queueView":
      return {
        kind: "queueView",
        entries: kind.value.entries.map(({ queue, taskType, readyCount, removedBy, detail }) => ({
          queue,
          type: taskType,
          ready: Number(readyCount),
          removed_by: removedBy,
          detail,
        })),
      };
    default:
      return undefined;
  }
}

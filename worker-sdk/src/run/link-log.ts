/** The log lines of what the connection's thread reports. */
import type { FromLink } from "../link/messages.ts";
import type { Logger } from "../logging/logger.ts";
import { queueViewLine } from "./queue-view.ts";

/** Messages of the thread that have a line in the log. */
type LoggedMessage = Extract<
  FromLink,
  { kind: "connecting" | "disconnected" | "refused" | "queueView" | "log" | "serving" | "ended" }
>;

/** @param unregistered Facts of the worker, added to a failed dial before it first registered; undefined afterwards. */
export function logLinkMessage(
  log: Logger,
  message: LoggedMessage,
  unregistered: Readonly<Record<string, unknown>> | undefined,
): void {
  switch (message.kind) {
    case "connecting":
      log.debug({ event: "worker.dialing", address: message.address });
      return;
    case "disconnected": {
      const { address, error, retryInMs } = message;
      const fields = { address, error, retry_in_ms: retryInMs };
      if (unregistered)
        log.warn(
          { event: "worker.dial.failed", ...fields, ...unregistered },
          unregistered.scheduler_addr_source === "default"
            ? "dialling the scheduler failed: MUSTER_SCHEDULER_ADDR is not set, and the default is this machine"
            : "dialling the scheduler failed",
        );
      else
        log.warn(
          { event: "worker.disconnected", ...fields },
          "no connection to the scheduler; dialling again",
        );
      return;
    }
    case "refused": {
      const { attemptId, stale, detail } = message;
      log.warn(
        { event: "task.result.refused", attempt_id: attemptId, stale, detail },
        stale
          ? "the result came too late: the attempt was no longer this worker's"
          : "the result is not valid",
      );
      return;
    }
    case "queueView":
      log.debug({ event: "worker.queue_view", entries: message.entries }, queueViewLine(message.entries));
      return;
    case "log":
      log[message.level]({ event: message.event, ...message.fields }, message.message);
      return;
    case "serving":
      log.info(
        { event: "worker.http.serving", http_addr: message.address },
        `probes and metrics on http://${message.address}`,
      );
      return;
    case "ended":
      if (message.unackedResults > 0) {
        log.error(
          { event: "worker.results.unacknowledged", count: message.unackedResults },
          "results were not acknowledged in time; tasks whose result was not stored run again",
        );
      }
      if (message.unsentLogLines > 0) {
        log.warn(
          { event: "worker.task_logs.unsent", count: message.unsentLogLines },
          "lines of handlers were not taken by the scheduler in time; they may be missing in `muster logs`",
        );
      }
      return;
    default:
      message satisfies never;
  }
}

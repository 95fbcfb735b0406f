/** Handles the messages of the link that are about attempts and what they use. */
import type { Link } from "../link/link.ts";
import type { FromLink } from "../link/messages.ts";
import type { Logger } from "../logging/logger.ts";
import type { AttemptParts } from "./attempt-parts.ts";

/** A message of the link for the parts that run attempts. */
export type AttemptMessage = Extract<
  FromLink,
  {
    kind:
      | "assignments"
      | "cancel"
      | "revoke"
      | "acknowledged"
      | "refused"
      | "checkpointAnswered"
      | "keyPauseAnswered"
      | "prepareResource"
      | "releaseResource"
      | "isolatedStacks";
  }
>;

/** Gives a message to the part that it is for. @param link Where an answer goes. */
export function receiveForAttempts(
  { runner, keyPauses, loading, isolated }: AttemptParts,
  message: AttemptMessage,
  { link, log }: { readonly link: Pick<Link, "send">; readonly log: Logger },
): void {
  switch (message.kind) {
    case "assignments":
      runner.take(message.groups);
      return;
    case "cancel":
      runner.cancel(message);
      return;
    case "revoke":
      runner.revoke(message.attemptId, message.reason);
      return;
    case "acknowledged":
      runner.acknowledged(message.attemptIds);
      return;
    case "refused":
      if (message.stale) runner.refused(message.attemptId);
      else runner.acknowledged([message.attemptId]);
      return;
    case "checkpointAnswered":
      runner.checkpointAnswered(message);
      return;
    case "keyPauseAnswered": {
      const key = keyPauses.answered(message);
      if (key === undefined) return;
      const fields = { event: "worker.key_pause.refused", key, error: message.error };
      log.warn(fields, "a key was not paused");
      return;
    }
    case "prepareResource":
      void loading.prepare(message.resource, message.waitingTasks);
      return;
    case "releaseResource":
      void loading.release(message.resource, message.reason);
      return;
    case "isolatedStacks":
      void isolated?.stacks().then((processes) => link.send({ kind: "isolatedStacks", processes }));
      return;
    default:
      message satisfies never;
  }
}

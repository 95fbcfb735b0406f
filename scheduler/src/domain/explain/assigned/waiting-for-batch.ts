/** `WAITING_FOR_BATCH`: an attempt of a batch handler whose call has not begun. */
import { formatAttemptId } from "../../ids.ts";
import { type Reason, span } from "../reason.ts";
import type { ActiveFacts } from "./active-facts.ts";

/** The phase in which SDKs report such an attempt, once it has waited for a second. */
const BATCH_WAIT = "batch_wait";

/** The reason; undefined when the attempt waits for no batch. */
export function waitingForBatch({ task, events, now }: ActiveFacts, worker: string): Reason | undefined {
  const { phase, phaseTime } = task;
  if (phase !== BATCH_WAIT || phaseTime === undefined) return undefined;
  const attempt = formatAttemptId({ taskId: task.id, epoch: task.epoch });
  const size = events.findLast(
    ({ name, epoch }) => name === `task.${BATCH_WAIT}.started` && epoch === task.epoch,
  )?.attributes.batch_size;
  const ageMs = now.getTime() - phaseTime.getTime();
  return {
    code: "WAITING_FOR_BATCH",
    summary: `${worker} has kept it for a batch for ${span(ageMs)}; its handler has not been called`,
    since: phaseTime,
    evidence: [
      { key: "worker", value: worker, source: "database" },
      { key: "attempt", value: attempt, source: "database" },
      ...(size === undefined ? [] : [{ key: "batch_size", value: size, source: "event" }]),
    ],
    remedy:
      "wait: the handler is called when the batch is full or its wait is over, and an earlier call has returned; run `muster top` to see how many tasks of the type come in",
  };
}

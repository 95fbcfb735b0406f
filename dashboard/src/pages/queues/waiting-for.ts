/** Why the tasks of a queue wait, in a word for a list. The queue's page has the scheduler's explanation. */
import type { Queue, QueueOverview } from "@muster/protocol";
import { compact } from "../../format/span.ts";

/** A few words, and how they are meant. */
export interface Waiting {
  readonly text: string;
  readonly tone: "good" | "warn" | "bad" | "info" | "plain";
  readonly icon?: "pause" | "wait";
}

/** @param freeSlots Of all workers: with some, the workers of the queue may still be busy. */
export function waitingFor(
  {
    paused,
    readyCount,
    activeCount,
    scheduledCount,
  }: Pick<Queue, "paused" | "readyCount" | "activeCount" | "scheduledCount">,
  line: Pick<QueueOverview, "unservableCount" | "unservableTaskType"> | undefined,
  freeSlots: number,
): Waiting {
  if (paused) return { text: "paused", tone: "warn", icon: "pause" };
  if (line && line.unservableCount > 0n) {
    const what = `${compact(line.unservableCount)} ${line.unservableTaskType}`.trim();
    return { text: `no worker for ${what}`, tone: "bad" };
  }
  if (readyCount > 0n)
    return freeSlots <= 0
      ? { text: "all workers are busy", tone: "info", icon: "wait" }
      : { text: "waiting for a place at its workers", tone: "info", icon: "wait" };
  if (activeCount > 0n) return { text: "served", tone: "good" };
  return scheduledCount > 0n
    ? { text: "waiting for its time", tone: "plain", icon: "wait" }
    : { text: "empty", tone: "plain" };
}

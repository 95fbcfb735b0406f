/** Explains a queue that refuses submits. */
import { plural, type Reason, span } from "../reason.ts";

/** A queue with a limit. */
export interface LimitedQueueFact {
  readonly name: string;
  readonly max: number;
  readonly reason: string;
  readonly since: Date;
  /** Ready and scheduled tasks, counted up to one more than the limit. */
  readonly waiting: number;
}

/** `QUEUE_FULL`: as many tasks wait in it as its limit allows; undefined while there is room. */
export function queueFull(queue: LimitedQueueFact, now: Date): Reason | undefined {
  const { name, max, reason, since, waiting } = queue;
  if (waiting < max) return undefined;
  return {
    code: "QUEUE_FULL",
    summary: `the queue is full and refuses submits: its limit is ${plural(max, "waiting task")}, ${reason}`,
    evidence: [
      { key: "waiting", value: waiting > max ? `more than ${max}` : String(waiting), source: "database" },
      { key: "max_waiting", value: String(max), source: "database" },
      {
        key: "limit_reason",
        value: `${reason}, ${span(now.getTime() - since.getTime())} ago`,
        source: "database",
      },
    ],
    remedy: `wait until its tasks have been started, add workers, or run \`muster queue limit ${name} none\``,
  };
}

/** Which events are changes of the system, and what they say. */
import type { Event } from "@muster/protocol";

const PREFIXES =
  /^(?:queue|rate_limit|concurrency_limit|fairness_weight|circuit|pool|schedule|batch|tasks)\.|^worker\.(?!startup)/;

/** A change of the system, not a step in the life of one task. */
export function isChange({ name, taskId }: Pick<Event, "name" | "taskId">): boolean {
  return taskId === "" && PREFIXES.test(name);
}

/** The facts of an event: its worker, then its attributes as they were recorded. */
export function changeText({ workerId, attributes }: Pick<Event, "workerId" | "attributes">): string {
  const facts = Object.entries(attributes)
    .filter(([, value]) => value !== "")
    .map(([key, value]) => (key === "queue" ? `queue ${value}` : `${key}: ${value}`));
  return [...(workerId === "" ? [] : [`worker ${workerId}`]), ...facts].join("; ");
}

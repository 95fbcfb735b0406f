/** Checks of tasks that are stuck, and of tasks that failed. */
import { IS, plural, span } from "../explain/reason.ts";
import { type Check, fact, found, ok } from "./check.ts";
import { MAX_NAMED, type WorkFacts } from "./work-facts.ts";

export function stuck({ fleet: { stuckCount, running }, typeOf }: WorkFacts): Check {
  const name = "work.stuck";
  const [oldest] = running;
  if (stuckCount === 0 || !oldest) return ok(name, "no task is stuck");
  const where = oldest.phase ? `in ${oldest.phase}` : "without a named phase";
  return found(
    "warning",
    name,
    `${plural(stuckCount, "task", IS)} stuck; the longest is t-${oldest.taskId} (${typeOf(oldest.classId)}) on ${oldest.workerId || "its worker"}, ${where} for ${span(oldest.ageMs)}`,
    `run \`muster why t-${oldest.taskId}\`; it is not killed unless the task has a hard timeout`,
    running
      .slice(0, Math.min(stuckCount, MAX_NAMED))
      .map((task) =>
        fact(
          "task",
          `t-${task.taskId} ${typeOf(task.classId)} ${task.phase} on ${task.workerId}`,
          task.ageMs,
        ),
      ),
  );
}

export function failures({ fleet: { failureCount, failures: list }, typeOf }: WorkFacts): Check {
  const name = "work.failures";
  const [latest] = list;
  if (failureCount === 0 || !latest) return ok(name, "no task failed within the hour");
  return found(
    "note",
    name,
    `${plural(failureCount, "task")} failed within the hour, the last ${span(latest.ageMs)} ago: t-${latest.taskId} (${typeOf(latest.classId)}) with ${latest.failureCode}`,
    "run `muster tasks --state failed` to list them",
    list
      .slice(0, MAX_NAMED)
      .map((task) =>
        fact("task", `t-${task.taskId} ${typeOf(task.classId)} ${task.failureCode}`, task.ageMs),
      ),
  );
}

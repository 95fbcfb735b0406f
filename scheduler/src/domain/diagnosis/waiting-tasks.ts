/** Checks of tasks that wait although nothing holds them back. */
import { agree, IS, plural, span } from "../explain/reason.ts";
import { largest } from "../largest.ts";
import type { Coverage } from "../matching/coverage.ts";
import { type Check, fact, found, ok } from "./check.ts";
import { MAX_NAMED, type WorkFacts } from "./work-facts.ts";

/** A task without a worker is reported after this time: a worker may be starting. */
const UNSERVED_MS = 5_000;

/** With a free eligible slot, a task starts within milliseconds. */
const DELAYED_MS = 30_000;

export function unserved({ classes, pausedQueues }: WorkFacts): Check {
  const name = "work.unserved";
  const asleep = new Set(pausedQueues.map((queue) => queue.name));
  const list = classes.filter(
    ({ ready, eligible, taskClass, oldestReadyAgeMs = 0 }) =>
      ready > 0 && eligible === 0 && oldestReadyAgeMs >= UNSERVED_MS && !asleep.has(taskClass.queue),
  );
  const named = largest(list, MAX_NAMED, byAge);
  const [oldest] = named;
  if (!oldest) return ok(name, "every task that waits has a worker that can run it");
  const { type, queue } = oldest.taskClass;
  const total = list.reduce((sum, { ready }) => sum + ready, 0);
  return found(
    "failed",
    name,
    `${plural(total, "task", ["waits", "wait"])} and no worker can run ${agree(total, ["it", "them"])}; the oldest, ${type} in queue ${queue}, has waited for ${span(oldest.oldestReadyAgeMs ?? 0)}`,
    `run \`muster why queue:${queue}\` to see what is missing`,
    named.map(({ taskClass, ready, oldestReadyAgeMs }) => ({
      key: `${taskClass.queue}/${taskClass.type}`,
      value: `${ready} ready${requirements(taskClass.requirements)}`,
      source: "matcher",
      ageMs: oldestReadyAgeMs ?? 0,
    })),
  );
}

export function neverFit({ misfits }: WorkFacts): Check {
  const name = "work.never_fits";
  const [first] = misfits;
  if (!first) return ok(name, "no task that waits costs more than every known worker has");
  const { type, queue } = first.taskClass;
  const total = misfits.reduce((sum, { ready }) => sum + ready, 0);
  return found(
    "failed",
    name,
    `${plural(total, "task", ["waits", "wait"])} and no known worker has the capacities; ${type} in queue ${queue}: ${first.summary}`,
    `${first.change}, or submit such tasks with a lower cost`,
    misfits
      .slice(0, MAX_NAMED)
      .map(({ taskClass, ready, summary }) =>
        fact(`${taskClass.queue}/${taskClass.type}`, `${ready} ready; ${summary}`),
      ),
  );
}

export function delayed({ classes, pausedQueues, isKeyHeld }: WorkFacts): Check {
  const name = "work.delayed";
  const asleep = new Set(pausedQueues.map((queue) => queue.name));
  const late = classes.filter(
    ({ ready, freeSlots, taskClass, oldestReadyAgeMs = 0 }) =>
      ready > 0 &&
      freeSlots > 0 &&
      oldestReadyAgeMs >= DELAYED_MS &&
      !asleep.has(taskClass.queue) &&
      !isKeyHeld(taskClass),
  );
  const named = largest(late, MAX_NAMED, byAge);
  const [first] = named;
  if (!first) return ok(name, "no task waits beside a free slot");
  const { type, queue } = first.taskClass;
  return found(
    "warning",
    name,
    `${type} in queue ${queue} has waited for ${span(first.oldestReadyAgeMs ?? 0)} although ${plural(first.freeSlots, "eligible slot", IS)} free`,
    "run `muster why queue:NAME`: the concurrency of a type may be reached; otherwise check the logs and loops of the schedulers",
    named.map((each) =>
      fact(
        `${each.taskClass.queue}/${each.taskClass.type}`,
        `${each.ready} ready, ${plural(each.freeSlots, "slot")} free`,
      ),
    ),
  );
}

function byAge(a: Coverage, b: Coverage): number {
  return (b.oldestReadyAgeMs ?? 0) - (a.oldestReadyAgeMs ?? 0);
}

function requirements({ labels, resources }: Coverage["taskClass"]["requirements"]): string {
  const wants = [...Object.entries(labels).map(([name, value]) => `${name}=${value}`), ...resources];
  return wants.length === 0 ? "" : `, wants ${wants.join(", ")}`;
}

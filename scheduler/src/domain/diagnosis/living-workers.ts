/** Checks of workers that are connected: silent, paused, quarantined, blocked, contested, of several versions. */

import { agree, IS, plural, span } from "../explain/reason.ts";
import { CONTEST_REMEDY, contestInWords } from "../explain/workers/contested.ts";
import { processInWords } from "../workers/contest.ts";
import { quarantineInWords } from "../workers/quarantine.ts";
import { type Check, fact, found, ok } from "./check.ts";
import { MAX_NAMED, type WorkFacts } from "./work-facts.ts";

/** A handler that blocks its main loop for this long computes without yielding. */
const BLOCKED_MS = 30_000;

export function silent({ fleet: { groups } }: WorkFacts): Check {
  const name = "workers.answering";
  const count = (state: string) =>
    groups.filter((group) => group.state === state).reduce((sum, group) => sum + group.workers, 0);
  const total = groups.reduce((sum, { workers }) => sum + workers, 0);
  const suspects = count("suspect");
  if (suspects === 0) {
    return ok(
      name,
      total === 0
        ? "no worker is connected"
        : `${plural(total, "worker", ["answers", "answer"])}, ${count("ready")} ${agree(count("ready"), IS)} ready`,
    );
  }
  return found(
    "warning",
    name,
    `${suspects} of ${plural(total, "worker")} ${agree(suspects, ["does", "do"])} not answer`,
    "run `muster workers --state suspect` to list them; they reconnect, or their tasks are requeued when their grace ends",
  );
}

export function workersPaused({ pausedWorkers, now }: WorkFacts): Check {
  const name = "workers.paused";
  const [first] = [...pausedWorkers].sort((a, b) => a.since.getTime() - b.since.getTime());
  if (!first) return ok(name, "no worker is paused by an operator");
  return found(
    "note",
    name,
    `${plural(pausedWorkers.length, "worker", IS)} paused by operators: ${first.workerId} (${first.reason}) for ${span(now.getTime() - first.since.getTime())}`,
    `run \`muster worker resume ${first.workerId}\` when the reason is gone`,
    pausedWorkers
      .slice(0, MAX_NAMED)
      .map(({ workerId, reason, since }) => fact(workerId, reason, now.getTime() - since.getTime())),
  );
}

export function quarantined({ quarantinedWorkers, now }: WorkFacts): Check {
  const name = "workers.quarantined";
  const [first] = quarantinedWorkers;
  if (!first) return ok(name, "no worker is quarantined");
  return found(
    "warning",
    name,
    `${plural(quarantinedWorkers.length, "worker", IS)} quarantined: ${first.workerId} (${quarantineInWords(first.quarantine)}) for ${span(now.getTime() - first.quarantine.since.getTime())}`,
    `run \`muster why ${first.workerId}\` for what fails there, and check its log and its machine`,
    quarantinedWorkers
      .slice(0, MAX_NAMED)
      .map(({ workerId, quarantine }) =>
        fact(workerId, quarantineInWords(quarantine), now.getTime() - quarantine.since.getTime()),
      ),
  );
}

export function blocked({ fleet: { workers } }: WorkFacts): Check {
  const name = "workers.blocked";
  const list = workers.filter(({ loopAgeMs }) => loopAgeMs >= BLOCKED_MS);
  const [worst] = list.toSorted((a, b) => b.loopAgeMs - a.loopAgeMs);
  if (!worst) return ok(name, "no worker's main loop is blocked");
  return found(
    "warning",
    name,
    `the main loop of ${plural(list.length, "worker")} is blocked, of ${worst.workerId} for ${span(worst.loopAgeMs)}`,
    `run \`muster why ${worst.workerId}\` for the task and its phase; move the computation to a thread`,
    list.slice(0, MAX_NAMED).map(({ workerId, loopAgeMs }) => fact("worker", workerId, loopAgeMs)),
  );
}

export function contested({ contests, now }: WorkFacts): Check {
  const name = "workers.contested";
  const [first] = contests;
  if (!first) return ok(name, "no worker id is used by two living processes");
  const more = contests.length > 1 ? `; ${contests.length - 1} more ids likewise` : "";
  return found(
    "warning",
    name,
    `${contestInWords(first, now)}${more}`,
    CONTEST_REMEDY,
    contests
      .slice(0, MAX_NAMED)
      .map(({ workerId, holder, other, askedTime }) =>
        fact(
          workerId,
          `${processInWords(holder)} and ${processInWords(other)}`,
          now.getTime() - askedTime.getTime(),
        ),
      ),
  );
}

/** Workers of several releases are normal; the check lists them. */
export function sdks({ fleet: { groups } }: WorkFacts): Check {
  const name = "versions.workers";
  const counts = new Map<string, number>();
  for (const { sdk, workers } of groups)
    counts.set(sdk || "unnamed", (counts.get(sdk || "unnamed") ?? 0) + workers);
  const byName = Map.groupBy(counts.keys(), (sdk) => sdk.split(" ")[0] ?? "");
  const mixed = [...byName].filter(([, list]) => list.length > 1);
  const evidence = [...counts]
    .slice(0, 20)
    .map(([sdk, workers]) => fact("workers", `${workers} with ${sdk}`));
  const [first] = mixed;
  if (!first)
    return ok(
      name,
      counts.size === 0
        ? "no worker is connected"
        : `workers run ${[...counts.keys()].slice(0, MAX_NAMED).join(", ")}`,
      evidence,
    );
  return found(
    "note",
    name,
    `workers run ${first[1].length} versions of ${first[0]}`,
    "finish the upgrade of the workers",
    evidence,
  );
}

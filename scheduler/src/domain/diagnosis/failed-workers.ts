/** Checks of workers that ended with an error, were refused, or failed to start. */
import { cut } from "@muster/common/text/text";
import { agree, HAS, IS, plural, span } from "../explain/reason.ts";
import { rejectionWords, remedyOf } from "../explain/workers/rejected.ts";
import type { WorkerLine } from "../reports.ts";
import { type Check, fact, found, ok } from "./check.ts";
import { MAX_NAMED, type WorkFacts } from "./work-facts.ts";

/** Older rejections are not reported. */
const REFUSED_MS = 3_600_000;

export function ended({ fleet: { workers } }: WorkFacts): Check {
  const name = "workers.ended";
  const list = workers.filter(({ goneReason }) => goneReason !== "");
  const [latest] = list;
  if (!latest) return ok(name, "no worker failed within the hour");
  return found(
    "warning",
    name,
    `${plural(list.length, "worker")} failed within the hour and ${agree(list.length, HAS)} not reconnected: ${latest.workerId} ${how(latest)} ${span(latest.silentMs ?? 0)} ago`,
    `run \`muster why ${latest.workerId}\` for the cause`,
    list
      .slice(0, MAX_NAMED)
      .map((worker) => fact("worker", `${worker.workerId} ${how(worker)}`, worker.silentMs)),
  );
}

export function refused({ rejected, now }: WorkFacts): Check {
  const name = "workers.refused";
  const recent = rejected.filter(
    ({ lastTime, holder }) => holder !== "another" && now.getTime() - lastTime.getTime() <= REFUSED_MS,
  );
  const [latest] = recent;
  if (!latest) {
    const old = rejected.length > 0 ? `; ${plural(rejected.length, "older refusal", IS)} stored` : "";
    return ok(name, `no worker was refused within the hour${old}`);
  }
  const workers = new Set(recent.map(({ workerId }) => workerId));
  return found(
    "warning",
    name,
    `${plural(workers.size, "worker", ["was", "were"])} refused within the hour, ${latest.workerId} last, ${span(now.getTime() - latest.lastTime.getTime())} ago (${latest.code}: ${rejectionWords(latest.code)})`,
    `${remedyOf(latest)}; run \`muster workers --state refused\` to list them`,
    recent
      .slice(0, MAX_NAMED)
      .map(({ workerId, code, count, peer, lastTime }) =>
        fact(
          "refused_worker",
          `${workerId} ${code} ${plural(count, "time")} from ${peer}`,
          now.getTime() - lastTime.getTime(),
        ),
      ),
  );
}

export function launches({ failedLaunches, now }: WorkFacts): Check {
  const name = "workers.launches";
  const [latest] = failedLaunches;
  if (!latest) return ok(name, "no supervised start has failed within the hour");
  return found(
    "warning",
    name,
    `${plural(failedLaunches.length, "supervised worker")} failed to start or to run within the hour; ${latest.workerId} was the last, ${span(now.getTime() - latest.time.getTime())} ago (${latest.reason})`,
    `run \`muster why ${latest.workerId}\` for the cause and the last output`,
    failedLaunches
      .slice(0, MAX_NAMED)
      .map(({ workerId, reason, time }) => fact(workerId, reason, now.getTime() - time.getTime())),
  );
}

function how({ goneReason, fatal }: WorkerLine): string {
  return fatal === "" ? goneReason : `${goneReason} (${cut(fatal, 120)})`;
}

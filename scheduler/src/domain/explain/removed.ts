/** Why a filter removes a worker, in words. */
import { type BuildSides, percent } from "../builds/build-rule.ts";
import { shortages, totalOf } from "../matching/capacity.ts";
import { type Candidate, type Filter, isFullOfReleased, type TaskClass } from "../matching/match.ts";
import { payloadInWords } from "./capacity/payload-ahead.ts";

/** One sentence about why a worker gets no task of a class, with the facts in it. */
export function whyRemoved(taskClass: TaskClass, worker: Candidate, filter: Filter | undefined): string {
  const { requirements, type, queue } = taskClass;
  switch (filter) {
    case "type":
      return `it has no handler for ${type}`;
    case "queue":
      return `it takes from ${list([...worker.queues])}, not from ${queue}`;
    case "build":
      return `queue ${queue} runs its tasks on ${buildsInWords(taskClass.builds)}, and it ${buildInWords(worker.build)}`;
    case "labels": {
      const lacks = Object.entries(requirements.labels)
        .filter(([name, value]) => worker.labels[name] !== value)
        .map(([name, value]) => `${name}=${value} (it has ${worker.labels[name] ?? `no ${name}`})`);
      return `it lacks the label ${lacks.join(", ")}`;
    }
    case "capacity":
      return `such a task costs ${(requirements.cost ?? [])
        .filter(({ name, amount }) => amount > totalOf(name, worker))
        .map(({ name, amount }) => `${amount} ${name} (it has ${totalOf(name, worker)})`)
        .join(", ")}`;
    case "resources":
      return `${list(requirements.resources.filter((name) => !worker.resources.has(name)))} is not loaded on it`;
    case "starting":
      return "its startup is not finished or its stream is down";
    case "draining":
      return "it is draining";
    case "paused":
      return `it takes no new work: ${worker.pauseReason}`;
    case "quarantined":
      return "it is quarantined, because it failed far more often than its peers";
    case "slots": {
      const capacity = worker.types.get(type);
      if (capacity !== undefined && isFullOfReleased(worker, capacity))
        return `${capacity.released} attempts of ${type} wait there without their slots, and it is assigned no further ones until some go on`;
      const full = capacity !== undefined && capacity.active >= capacity.limit;
      if (!full && worker.fullOfBytes !== undefined) return payloadInWords("it", worker.fullOfBytes);
      if (!full && requirements.cost !== undefined) {
        const short = shortages(requirements.cost, worker);
        return `such a task costs ${short.map(({ name, needed, free }) => `${needed} ${name} (it has ${free} free)`).join(", ")}`;
      }
      return full ? `its concurrency for ${type} (${capacity.limit}) is used up` : "its slots are taken";
    }
    case "alone":
      return taskClass.alone
        ? "it holds attempts, and such a task runs alone"
        : `it ${worker.runsAlone ? "runs a task alone" : "is reserved for a task that runs alone"}, because processes died while that task ran`;
    case "unanswered":
      return `it ${worker.stallReason || "left an assignment unanswered"} and is assigned nothing for a while`;
    case undefined:
      return taskClass.builds?.ramp
        ? `queue ${queue} runs its tasks on ${buildsInWords(taskClass.builds)}, and it ${buildInWords(worker.build)}; none of its share was assigned to it yet`
        : "it may run them; none was assigned to it yet";
    default:
      return filter satisfies never;
  }
}

/** `build 12`, `build 12 or 13`, or `builds other than 13`. */
export function buildsInWords(sides: BuildSides | undefined): string {
  const { rest, ramp } = sides ?? {};
  const others =
    rest && "isNot" in rest ? `builds other than ${rest.isNot}` : rest ? `build ${rest.is}` : "any build";
  if (!ramp) return others;
  return `${others}, and ${percent(ramp.share)} of them on build ${ramp.build}`;
}

/** `has build 12`. */
export function buildInWords(build = ""): string {
  return build === "" ? "names no build" : `has build ${build}`;
}

/** `a, b and 3 more`. */
export function list(names: readonly string[]): string {
  return names.length > 5
    ? `${names.slice(0, 5).join(", ")} and ${names.length - 5} more`
    : names.join(", ") || "nothing";
}

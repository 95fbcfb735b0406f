/** Explains that no worker has the build on which a task is to run. */
import type { TaskClass } from "../../matching/match.ts";
import type { FleetMember } from "../fleet.ts";
import { agree, type Evidence, plural, type Reason } from "../reason.ts";
import { buildsInWords, list } from "../removed.ts";

/**
 * `BUILD_NOT_RUNNING`: workers could run the task, and none has its build.
 *
 * @param taskClass With what the task itself asks.
 */
export function buildNotRunning(
  { queue, builds }: TaskClass,
  members: readonly FleetMember[],
  { evidence, since }: { evidence: readonly Evidence[]; since: Date },
): Reason {
  const found = [...new Set(members.map(({ candidate }) => candidate.build || "none"))].sort();
  const wanted = buildsInWords(builds);
  const build = builds?.rest && "is" in builds.rest ? builds.rest.is : undefined;
  const start =
    build === undefined ? "start a worker of another build" : `start a worker with MUSTER_BUILD_ID=${build}`;
  return {
    code: "BUILD_NOT_RUNNING",
    summary: `the rule of queue ${queue} runs the task on ${wanted}, and ${plural(members.length, "worker")} that could run it ${agree(members.length, ["has another build", "have other builds"])}: ${list(found)}`,
    since,
    evidence: [
      ...evidence,
      { key: "wanted_build", value: wanted, source: "database" },
      { key: "known_builds", value: list(found), source: "matcher" },
    ],
    remedy: `${start}, or take the rule back: \`muster queue build ${queue} --clear\``,
  };
}

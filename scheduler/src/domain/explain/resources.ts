import { closestNames } from "@muster/common/text/closest-names";
import type { TaskClass } from "../matching/match.ts";
import { canLoad } from "../workers/worker.ts";
import { type FleetMember, names } from "./fleet.ts";
import { agree, HAS, plural, type Reason, span } from "./reason.ts";
import { type CauseContext, didYouMean } from "./waiting/causes.ts";

/** `RESOURCE_NOT_LOADED`: the workers that were asked to load it, with the age and the progress of each request. */
export function notLoaded(
  taskClass: TaskClass,
  members: readonly FleetMember[],
  { evidence, since, now, first }: CauseContext,
): Reason {
  // The resource that most of them lack comes first.
  const lacking = (resource: string) => members.filter(({ candidate }) => !candidate.resources.has(resource));
  const [resource = "", lack = []] =
    taskClass.requirements.resources
      .map((name) => [name, lacking(name)] as const)
      .sort(([, a], [, b]) => b.length - a.length)[0] ?? [];
  const of = (member: FleetMember) => member.asks.get(resource);
  const asked = lack.filter((member) => of(member)?.askedAgeMs !== undefined || of(member)?.state);
  const failed = asked.filter((member) => of(member)?.state?.state === "failed");
  const able = lack.filter(({ record }) => canLoad(record.hello, resource));
  const askedAgeMs = Math.max(
    0,
    ...asked.map((member) => of(member)?.askedAgeMs ?? of(member)?.state?.ageMs ?? 0),
  );
  const worst = failed.toSorted((a, b) => (of(b)?.state?.failures ?? 0) - (of(a)?.state?.failures ?? 0))[0];
  const worstState = worst && of(worst)?.state;
  const parts = [
    first
      ? `no worker that could run it has loaded ${resource}`
      : `${names(lack)} could run it too, but ${agree(lack.length, HAS)} not loaded ${resource}`,
  ];
  if (asked.length > 0) {
    parts.push(
      `it was requested ${span(askedAgeMs)} ago, and ${names(asked)} ${agree(asked.length, HAS)} not loaded it yet`,
    );
    if (worst && worstState) {
      parts.push(
        `loading failed on ${worst.candidate.workerId} ${worstState.failures === 1 ? "once" : `${worstState.failures} times`}: ${worstState.error}`,
      );
    }
  } else if (able.length > 0) parts.push(`${names(able)} can load it, and the request is next`);
  else {
    const near = closestNames(resource, namesOfResources(members));
    parts.push(
      `${names(lack)} ${lack.length === 1 ? "lacks it and cannot" : "lack it and none of them can"} be asked to load it${didYouMean(near)}`,
    );
  }
  return {
    code: "RESOURCE_NOT_LOADED",
    summary: parts.join("; "),
    since: asked.length > 0 && askedAgeMs > 0 ? later(since, new Date(now.getTime() - askedAgeMs)) : since,
    evidence: [
      ...evidence,
      { key: "resource", value: resource, source: "database" },
      { key: "asked_worker_count", value: String(asked.length), source: "matcher" },
      ...lack.slice(0, 20).map((member) => ({
        key: `lacks ${resource}`,
        value: `${member.candidate.workerId}: ${progress(member, resource)}`,
        source: member.elsewhere ? "database" : "heartbeat",
        ageMs: member.ageMs,
      })),
    ],
    remedy: remedy(resource, lack, able, worst),
  };
}

/** Resources that they have loaded, and those that they declare as loadable by full name. */
function namesOfResources(members: readonly FleetMember[]): string[] {
  return members.flatMap(({ candidate, record }) => [
    ...candidate.resources,
    ...(record.hello.loadable ?? []).filter((name) => !name.endsWith("*")),
  ]);
}

/** The progress of a worker with a resource that it lacks, in words. */
export function progress({ asks, record }: FleetMember, resource: string): string {
  const fact = asks.get(resource);
  const state = fact?.state;
  if (state?.state === "loading") return `has been loading it for ${span(state.ageMs)}`;
  if (state?.state === "failed")
    return `failed to load it ${plural(state.failures, "time")}, last ${span(state.ageMs)} ago: ${state.error}`;
  if (fact?.askedAgeMs !== undefined) return `was asked ${span(fact.askedAgeMs)} ago and has not begun`;
  return canLoad(record.hello, resource) ? "can load it, was not asked" : "cannot be asked to load it";
}

function remedy(
  resource: string,
  lack: readonly FleetMember[],
  able: readonly FleetMember[],
  failed: FleetMember | undefined,
): string {
  const example = lack[0]?.candidate.workerId ?? "the worker";
  if (failed) {
    const id = failed.candidate.workerId;
    return `fix the error that ${id} reports while loading (worker.resource.failed in its log has the traceback); loading is requested again after growing waits`;
  }
  if (able.length > 0) {
    return `wait until it is loaded; if that takes too long, check the log of ${able[0]?.candidate.workerId ?? example}`;
  }
  return `start a worker that has it (option resources: ["${resource}"]), or let ${example} load it on request: worker.resources.register("${resource}", { load })`;
}

function later(a: Date, b: Date): Date {
  return a > b ? a : b;
}

/** `ALL_SLOTS_BUSY` of tasks that cost more than one slot: which capacity is short on which worker. */
import { costInWords, type Shortage, SLOTS, shortages, slotsOf } from "../../matching/capacity.ts";
import type { TaskClass } from "../../matching/match.ts";
import type { SeenAttempt } from "../../workers/worker.ts";
import type { FleetMember } from "../fleet.ts";
import { agree, type Evidence, IS, plural, type Reason, span } from "../reason.ts";

/** Workers, and attempts of each, that are named. */
const MAX_WORKERS = 10;
const MAX_HOLDERS = 5;

/** A worker and what it has too little of. */
interface ShortWorker {
  readonly member: FleetMember;
  readonly short: readonly Shortage[];
}

/** Undefined when it is the concurrency of the type that keeps the workers from taking it. */
export function shortCapacity(
  { requirements }: TaskClass,
  busy: readonly FleetMember[],
  evidence: readonly Evidence[],
  since: Date,
): Reason | undefined {
  const { cost } = requirements;
  const workers = busy
    .map((member) => ({ member, short: shortages(cost, member.candidate) }))
    .filter(({ short }) => short.length > 0)
    .sort((a, b) => a.short.length - b.short.length || missing(a) - missing(b));
  const [nearest] = workers;
  const [short] = nearest?.short ?? [];
  if (!nearest || !short) return undefined;
  const names = [...new Set(workers.flatMap((worker) => worker.short.map(({ name }) => name)))];
  const [oldest] = holders(nearest.member, short.name);
  const { workerId } = nearest.member.candidate;
  return {
    code: "ALL_SLOTS_BUSY",
    summary: `it costs ${costInWords(cost)}, and ${names.join(" and ")} ${agree(names[0] === SLOTS ? 2 : names.length, IS)} short on ${plural(workers.length, "eligible worker")}: ${workerId} has ${left(short)}${oldest ? `; held longest by ${word(oldest, short.name)}` : ""}`,
    since,
    evidence: [
      ...evidence,
      ...workers.slice(0, MAX_WORKERS).flatMap(({ member, short: all }) =>
        all.map((each) => ({
          key: `short_${each.name}`,
          value: `${member.candidate.workerId}: ${each.needed} needed, ${left(each)}${heldBy(member, each.name)}`,
          source: member.elsewhere ? "database" : "matcher",
          ...(member.elsewhere ? { ageMs: member.ageMs } : {}),
        })),
      ),
    ],
    remedy: `it starts when enough is free on one worker and no older task is ahead; to start it earlier, start another worker${oldest ? `; run \`muster why ${oldest.attemptId.split(".")[0]}\` to see whether the oldest one makes progress` : ""}`,
  };
}

/** Share of the amount that is missing, of the capacity that lacks most. */
function missing({ short }: ShortWorker): number {
  return Math.max(...short.map(({ needed, free }) => (needed - free) / needed));
}

function left({ name, free, total }: Shortage): string {
  return `${free} of ${total} ${name} free`;
}

function heldBy(member: FleetMember, name: string): string {
  const all = holders(member, name);
  const named = all.slice(0, MAX_HOLDERS).map((attempt) => word(attempt, name));
  const more = all.length > named.length ? ` and ${all.length - named.length} more` : "";
  return named.length > 0 ? `; held by ${named.join(", ")}${more}` : "";
}

/** Attempts that take of the capacity, the oldest first. */
function holders({ held }: FleetMember, name: string): SeenAttempt[] {
  return held.filter((attempt) => taken(attempt, name) > 0).sort((a, b) => b.ageMs - a.ageMs);
}

function taken({ cost }: SeenAttempt, name: string): number {
  return name === SLOTS ? slotsOf(cost) : (cost?.find((each) => each.name === name)?.amount ?? 0);
}

function word(attempt: SeenAttempt, name: string): string {
  const { attemptId, type, ageMs, revoked } = attempt;
  const amount = taken(attempt, name);
  const unit = name === SLOTS && amount === 1 ? "slot" : name;
  return `${attemptId} (${type || "unknown type"}, ${amount} ${unit}${revoked ? ", revoked" : ""}) for ${span(ageMs)}`;
}

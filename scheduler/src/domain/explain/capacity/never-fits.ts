/** `NEVER_FITS` and `NO_WORKER_FITS`: a task costs more than the workers that could run it have. */
import { type Amount, costInWords, totalOf } from "../../matching/capacity.ts";
import { type AskedCapacity, findFitting, type KnownSize, neverFits } from "../../matching/known-size.ts";
import type { TaskClass } from "../../matching/match.ts";
import type { FleetMember } from "../fleet.ts";
import { type Evidence, IS, plural, type Reason, span } from "../reason.ts";

/** Workers that are named in the evidence. */
const MAX_NAMED = 10;

/** What is impossible, and what would have to change. */
export interface Misfit {
  readonly summary: string;
  /** An instruction that makes it possible. */
  readonly change: string;
  readonly evidence: readonly Evidence[];
}

/** Why no known worker could ever run tasks of the class; undefined when one could, and when none is known. */
export function misfit(
  { type, queue, requirements }: TaskClass,
  sizes: readonly KnownSize[],
): Misfit | undefined {
  const asked = neverFits(requirements.cost, sizes);
  if (!asked) return undefined;
  const tooMuch = asked.filter((each) => each.asked > each.most);
  const workers = `worker that can run ${type} from ${queue}`;
  const each = tooMuch.map(
    ({ name, asked: amount, most, largest }) =>
      `${amount} ${name}, and the largest known ${workers} ${most === 0 ? "has none" : `has ${most}`} (${seen(largest)})`,
  );
  return {
    summary:
      tooMuch.length > 0
        ? `it costs ${each.join("; and ")}`
        : `it costs ${costInWords(requirements.cost)}: each is on some known ${workers}, together on none`,
    change: startWith(requirements.cost),
    evidence: asked.map(({ name, asked: amount, most, largest }: AskedCapacity) => ({
      key: `cost_${name}`,
      value: `${amount} asked, at most ${most} known: ${seen(largest)}`,
      source: "database",
    })),
  };
}

/** `NEVER_FITS`. */
export function neverFitsReason(taskId: number, found: Misfit, since: Date): Reason {
  return {
    code: "NEVER_FITS",
    summary: found.summary,
    since,
    evidence: found.evidence,
    remedy: `${found.change}, or run \`muster cancel t-${taskId}\` and submit the task with a lower cost`,
  };
}

/** `NO_WORKER_FITS`: the living workers that match otherwise are too small. */
export function noWorkerFits(
  { requirements }: TaskClass,
  members: readonly FleetMember[],
  known: readonly KnownSize[],
  { evidence, since }: { readonly evidence: readonly Evidence[]; readonly since: Date },
): Reason {
  const cost = requirements.cost ?? [];
  const lacks = members.map((member) => ({
    workerId: member.candidate.workerId,
    short: cost.filter(({ name, amount }) => amount > totalOf(name, member.candidate)),
    candidate: member.candidate,
  }));
  const [first] = lacks;
  const has = ({ name }: Amount, candidate: FleetMember["candidate"]) =>
    `${totalOf(name, candidate)} ${name}`;
  const inWords = ({ workerId, short, candidate }: (typeof lacks)[number]) =>
    `${workerId} has ${short.map((each) => has(each, candidate)).join(" and ")}`;
  const gone = findFitting(cost, known);
  const count = members.length;
  return {
    code: "NO_WORKER_FITS",
    summary: `it costs ${costInWords(cost)}, and ${count === 1 ? "the only worker that could run it otherwise" : `each of ${plural(count, "worker")} that could run it otherwise`} has less: ${first ? inWords(first) : ""}${count > 1 ? `; ${plural(count - 1, "more worker", IS)} too small, too` : ""}${gone ? `; ${gone.workerId} had enough and ${wasSeen(gone)}` : ""}`,
    since,
    evidence: [
      ...evidence,
      ...lacks
        .slice(0, MAX_NAMED)
        .map((each) => ({ key: "too_small", value: inWords(each), source: "matcher" })),
      ...(gone
        ? [{ key: "large_enough", value: `${gone.workerId} ${wasSeen(gone)}`, source: "database" }]
        : []),
    ],
    remedy: `${startWith(requirements.cost)}${gone ? `; run \`muster why ${gone.workerId}\` to see why that one ended` : ""}`,
  };
}

function startWith(cost: TaskClass["requirements"]["cost"]): string {
  return `start a worker with at least ${costInWords(cost)} (options concurrency and capacities)`;
}

function seen(size: KnownSize): string {
  return `${size.workerId}, ${size.goneMs === undefined ? "connected" : wasSeen(size)}`;
}

function wasSeen({ goneMs }: KnownSize): string {
  return goneMs === undefined ? "is connected" : `ended ${span(goneMs)} ago`;
}

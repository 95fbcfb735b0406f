/** What shares the workers with a waiting task: facts of explanations. */
import { type Evidence, span } from "../reason.ts";

/** Something that gets a share of the starts by its weight. */
export interface Weighed {
  readonly name: string;
  readonly weight: number;
}

/** A share among others that have work for the same workers. */
export interface Portion extends Weighed {
  /** Those with the largest weights first; not all of them. */
  readonly others: readonly Weighed[];
  readonly otherCount: number;
  /** The weights of all others together. */
  readonly otherWeight: number;
}

/** When a waiting task is due among what the same workers serve, as this scheduler has it. */
export interface TurnFacts {
  /** The share of its queue. */
  readonly queue: Portion;
  /**
   * The share of its fairness key in the queue, with an empty name for tasks without a key; undefined when neither it nor
   * another task that waits has one.
   */
  readonly key?: Portion;
  /** What this scheduler starts next at these workers; undefined when it has read nothing of it. */
  readonly next?: { readonly queue: string; readonly key: string };
  /** Set while a task of a higher priority goes first. */
  readonly priority?: {
    readonly own: number;
    readonly first: number;
    /** Tasks of that priority that become ready later go after it; undefined when priorities do not age. */
    readonly passesAt: Date | undefined;
  };
}

/** What shares the workers with the task, as clauses to append; empty when nothing does. */
export function turnInWords(turn: TurnFacts, now: Date): string {
  const { queue, key, priority } = turn;
  const ofQueue =
    queue.otherCount > 0
      ? `; its queue gets ${percent(queue)} of the starts: ${weighed(queue)} shares the workers with ${others(queue)}`
      : "";
  const ofKey =
    key && key.otherCount > 0
      ? `; its fairness key gets ${percent(key)} of the starts of the queue: ${weighed(key)} shares them with ${others(key)}`
      : "";
  const next = nextTurn(turn);
  const ofNext = next === undefined ? "" : `; the next turn is that of ${next}`;
  return ofQueue + ofKey + ofNext + (priority ? priorityInWords(priority, now) : "");
}

/** Undefined where nothing shares the workers. */
function nextTurn({ queue, key, next }: TurnFacts): string | undefined {
  if (!next || (queue.otherCount === 0 && !key?.otherCount)) return undefined;
  if (next.queue !== queue.name) return `queue ${next.queue}`;
  if (!key?.otherCount) return "its queue";
  if (next.key === key.name) return "its fairness key";
  return next.key === "" ? shown("") : `fairness key ${next.key}`;
}

function priorityInWords({ own, first, passesAt }: NonNullable<TurnFacts["priority"]>, now: Date): string {
  const ahead = `; tasks of priority ${first} go first: it has priority ${own}`;
  if (!passesAt) return `${ahead}, and waits for all of them`;
  const wait = passesAt.getTime() - now.getTime();
  return wait > 0
    ? `${ahead}, and goes before those that become ready in more than ${span(wait)}`
    : `${ahead}, and goes before those that have been ready for less than ${span(-wait)}`;
}

export function turnEvidence(turn: TurnFacts): Evidence[] {
  const { queue, key, priority } = turn;
  const next = nextTurn(turn);
  return [
    ...portionEvidence(queue, "queue", "queues_with_work"),
    ...keyEvidence(key),
    ...(next === undefined ? [] : [{ key: "next_turn", value: next, source: "matcher" }]),
    ...(priority ? priorityEvidence(priority) : []),
  ];
}

function priorityEvidence({ own, first, passesAt }: NonNullable<TurnFacts["priority"]>): Evidence[] {
  return [
    { key: "priority", value: String(own), source: "database" },
    { key: "first_priority", value: String(first), source: "matcher" },
    ...(passesAt
      ? [{ key: "goes_before_ready_after", value: passesAt.toISOString(), source: "matcher" }]
      : []),
  ];
}

function keyEvidence(key: Portion | undefined): Evidence[] {
  if (!key || (key.name === "" && key.otherCount === 0)) return [];
  return [
    { key: "fairness_key", value: shown(key.name), source: "matcher" },
    ...portionEvidence(key, "fairness", "fairness_keys_with_work"),
  ];
}

function portionEvidence(portion: Portion, prefix: string, otherKey: string): Evidence[] {
  if (portion.otherCount === 0) return [];
  return [
    { key: `${prefix}_weight`, value: String(portion.weight), source: "matcher" },
    { key: `${prefix}_share`, value: percent(portion), source: "matcher" },
    { key: otherKey, value: others(portion), source: "matcher" },
  ];
}

function percent({ weight, otherWeight }: Portion): string {
  const share = (100 * weight) / (weight + otherWeight);
  return `${share >= 1 ? Math.round(share) : share.toPrecision(1)} %`;
}

function others(portion: Portion): string {
  const named = portion.others.map(weighed).join(", ");
  const left = portion.otherCount - portion.others.length;
  return left > 0 ? `${named} and ${left} more` : named;
}

function weighed({ name, weight }: Weighed): string {
  return `${shown(name)} (weight ${weight})`;
}

function shown(name: string): string {
  return name === "" ? "the tasks without a key" : name;
}

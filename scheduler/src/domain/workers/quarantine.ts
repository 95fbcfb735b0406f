/** The rule that quarantines a worker which fails far more often than its peers, and its words. */
import { plural, span } from "../explain/reason.ts";

/** Attempts of one type that ended on a worker within the window. */
export interface OutcomeCounts {
  /** Those that failed among them. */
  readonly finished: number;
  readonly failed: number;
}

/** The same by type. */
export type TypeOutcomes = ReadonlyMap<string, OutcomeCounts>;

/** Settings of the rule. */
export interface QuarantineSettings {
  /** Attempts that a worker must have finished within the window; 0 turns the rule off. */
  readonly minSamples: number;
  readonly windowMs: number;
  /** From the quarantine to the first probe; doubled after each probe that fails. */
  readonly probeMs: number;
}

/** Least share of a worker's attempts that failed. */
const FAILED_SHARE = 0.5;

/** How many times its share must be that of a peer. */
const TIMES_PEER = 3;

/** Longest wait between two probes, milliseconds. */
const MAX_PROBE_MS = 600_000;

/** A worker whose counts are compared. */
export interface PeerOutcomes {
  readonly workerId: string;
  readonly outcomes: TypeOutcomes;
}

/** A peer's counts of the types that both ran. */
export interface PeerCounts extends OutcomeCounts {
  readonly workerId: string;
}

/** Peers that are named, those with the most attempts. */
const MAX_PEERS = 5;

/** What the rule found: the worker's counts of the types that peers ran as well, and those of its peers. */
export interface BlackHole extends OutcomeCounts {
  readonly peerCount: number;
  /** All of them together. */
  readonly peersTogether: OutcomeCounts;
  readonly peers: readonly PeerCounts[];
}

/** A failed or rejected attempt. */
export interface FailedAttempt {
  readonly attemptId: string;
  readonly code: string;
  readonly message: string;
}

/** A quarantine as it is stored and shown. */
export interface QuarantineRecord extends BlackHole {
  readonly since: Date;
  readonly windowMs: number;
  /** The last ones before it, and of its probes. */
  readonly errors: readonly FailedAttempt[];
  /** Probes that failed. */
  readonly failedProbes: number;
  /** The next probe is assigned from then on. */
  readonly probeTime: Date;
}

/** Why a quarantine ended. */
export type QuarantineEnd = "probe_succeeded" | "released" | "last_worker" | "switched_off";

/** True when a worker failed often enough to be compared with its peers. */
export function isSuspect(own: TypeOutcomes, minSamples: number): boolean {
  const { finished, failed } = total(own.values());
  return finished >= minSamples && failed >= finished * FAILED_SHARE;
}

/**
 * Compares a worker with its peers, over the types that both ran, each peer by itself: another broken worker must not hide
 * this one. It is a black hole when at least half of its attempts failed, and when at least half of the peers with enough
 * attempts fail less than a third as often. Where the peers fail as often, the tasks are at fault.
 */
export function findBlackHole(
  own: TypeOutcomes,
  peers: readonly PeerOutcomes[],
  minSamples: number,
): BlackHole | undefined {
  const compared = peers.flatMap((peer) => comparedWith(own, peer, minSamples) ?? []);
  const better = compared.filter(
    ({ share, peerShare }) => share >= FAILED_SHARE && share >= TIMES_PEER * peerShare,
  );
  if (better.length === 0 || better.length * 2 < compared.length) return undefined;
  const types = new Set(compared.flatMap((each) => each.types));
  return {
    ...total([...types].flatMap((type) => own.get(type) ?? [])),
    peerCount: compared.length,
    peersTogether: total(compared.map(({ counts }) => counts)),
    peers: compared
      .map(({ counts }) => counts)
      .sort((a, b) => b.finished - a.finished)
      .slice(0, MAX_PEERS),
  };
}

interface Compared {
  readonly types: readonly string[];
  readonly counts: PeerCounts;
  readonly share: number;
  /** The peer's, had it run the worker's mix of types. */
  readonly peerShare: number;
}

function comparedWith(
  own: TypeOutcomes,
  { workerId, outcomes }: PeerOutcomes,
  minSamples: number,
): Compared | undefined {
  const types = [...own.keys()].filter((type) => (outcomes.get(type)?.finished ?? 0) > 0);
  const mine = total(types.flatMap((type) => own.get(type) ?? []));
  const theirs = total(types.flatMap((type) => outcomes.get(type) ?? []));
  if (mine.finished < minSamples || theirs.finished * 2 < minSamples) return undefined;
  const expected = types.reduce((sum, type) => {
    const { finished = 0, failed = 0 } = outcomes.get(type) ?? {};
    return sum + (own.get(type)?.finished ?? 0) * (failed / finished);
  }, 0);
  return {
    types,
    counts: { workerId, ...theirs },
    share: mine.failed / mine.finished,
    peerShare: expected / mine.finished,
  };
}

/** Wait before the next probe, milliseconds. */
export function probeDelayMs({ probeMs }: Pick<QuarantineSettings, "probeMs">, failedProbes: number): number {
  return Math.min(Math.max(MAX_PROBE_MS, probeMs), probeMs * 2 ** Math.min(failedProbes, 30));
}

/** `28 of 30 attempts failed (93 %) within 5 min, at its 2 peers 1 of 60 (2 %)`. */
export function quarantineInWords(found: BlackHole & { readonly windowMs: number }): string {
  const { finished, failed, windowMs, peerCount, peersTogether: peers } = found;
  return `${failed} of ${plural(finished, "attempt")} failed (${percent(failed, finished)}) within ${span(windowMs)}, at its ${plural(peerCount, "peer")} ${peers.failed} of ${peers.finished} (${percent(peers.failed, peers.finished)})`;
}

function percent(part: number, whole: number): string {
  return `${Math.round((part / Math.max(1, whole)) * 100)} %`;
}

function total(counts: Iterable<OutcomeCounts>): OutcomeCounts {
  let finished = 0;
  let failed = 0;
  for (const each of counts) {
    finished += each.finished;
    failed += each.failed;
  }
  return { finished, failed };
}

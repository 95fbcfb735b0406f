/** The guard of a pool: suspends launches while starts fail, and finds out by single probes whether they succeed again. */
/** When failed starts suspend the launches of a pool. */
export interface GuardRule {
  readonly windowMs: number;
  /** Fewer starts within the window decide nothing. */
  readonly minSamples: number;
  /** The share of failed starts, above 0 and at most 1, from which on launches are suspended. */
  readonly failureRate: number;
  /** Until the first probe; it doubles with each probe that fails. */
  readonly firstBackoffMs: number;
  readonly maxBackoffMs: number;
  /** A ready worker that holds nothing and has left so many assignments in a row unanswered has failed to start. */
  readonly maxUnaccepted: number;
}

/** Of a pool that does not say, or whose spec an older scheduler stored. */
export const DEFAULT_MAX_UNACCEPTED = 3;

/** A worker that became ready and never accepted anything: to be ready proves nothing where starts fail by this. */
export const NEVER_ACCEPTS = "NEVER_ACCEPTS";

/** Starts that are kept at most: the newest decide. */
const MOST_SAMPLES = 200;

/** A start that succeeded or failed. Planned stops are none. */
export interface StartSample {
  readonly atMs: number;
  readonly launchId: string;
  /** Why it failed; undefined for a start that became ready. */
  readonly cause: string | undefined;
}

/** Why and since when launches are suspended. */
interface Suspension {
  readonly sinceMs: number;
  /** 1 for the first opening; one more for each probe that failed. */
  readonly openings: number;
  /** Starts within the window as it opened, and those of them that had failed. */
  readonly starts: number;
  readonly failed: number;
  /** The most frequent cause of those, how many had it, and one launch that did. */
  readonly cause: string;
  readonly causeCount: number;
  readonly exampleLaunchId: string;
}

/** Launches go on, are suspended, or wait for the result of one. */
export type GuardState =
  | { readonly state: "closed" }
  | ({ readonly state: "open"; readonly probeMs: number } & Suspension)
  | ({ readonly state: "half_open"; readonly probeLaunchId: string } & Suspension);

/** The guard as the store keeps it. */
export interface GuardRecord {
  readonly now: GuardState;
  /** Starts within the window, oldest first. */
  readonly samples: readonly StartSample[];
}

/** A guard without any starts. */
export const NEW_GUARD: GuardRecord = { now: { state: "closed" }, samples: [] };

/** What may be launched. */
export type Allowance = "any" | "probe" | "none";

/** What may be launched at this moment. */
export function allowance({ now }: GuardRecord, nowMs: number): Allowance {
  switch (now.state) {
    case "closed":
      return "any";
    case "open":
      return now.probeMs <= nowMs ? "probe" : "none";
    case "half_open":
      return "none";
    default: {
      const unknown: never = now;
      throw new TypeError(`unknown state of a guard ${JSON.stringify(unknown)}`);
    }
  }
}

/** The probe is launched: the guard waits for its result. */
export function probing(guard: GuardRecord, launchId: string): GuardRecord {
  const { now } = guard;
  if (now.state !== "open") return guard;
  const { state: _, probeMs: __, ...suspension } = now;
  return { ...guard, now: { state: "half_open", probeLaunchId: launchId, ...suspension } };
}

/**
 * The guard after a start that became ready or failed.
 *
 * @param healthy Ready workers that were launched from the same template: each counts as a start that succeeded.
 */
export function withStart(
  guard: GuardRecord,
  rule: GuardRule,
  sample: StartSample,
  healthy: number,
): GuardRecord {
  const { now } = guard;
  const nowMs = sample.atMs;
  // A start that succeeds proves that starts can: also one from before the guard opened.
  if (sample.cause === undefined && now.state !== "closed" && now.cause !== NEVER_ACCEPTS)
    return { now: { state: "closed" }, samples: [sample] };
  // One that became ready and failed afterwards has not succeeded.
  const samples = [...guard.samples.filter(({ launchId }) => launchId !== sample.launchId), sample]
    .filter(({ atMs }) => atMs > nowMs - rule.windowMs)
    .slice(-MOST_SAMPLES);
  if (sample.cause === undefined) return { now, samples };
  if (now.state === "half_open" && now.probeLaunchId === sample.launchId)
    return { now: opened(rule, samples, nowMs, now.openings + 1, now.sinceMs), samples };
  if (now.state !== "closed") return { now, samples };
  const failed = samples.filter(({ cause }) => cause !== undefined).length;
  const succeeded = Math.max(samples.length - failed, healthy);
  const starts = failed + succeeded;
  const opens = starts >= rule.minSamples && failed / starts >= rule.failureRate;
  return { now: opens ? opened(rule, samples, nowMs, 1, nowMs) : now, samples };
}

/** The guard after a worker has accepted something: where workers never did, this ends the suspension. */
export function withAccepted(guard: GuardRecord, launchId: string, nowMs: number): GuardRecord {
  const { now } = guard;
  if (now.state === "closed" || now.cause !== NEVER_ACCEPTS) return guard;
  return { now: { state: "closed" }, samples: [{ atMs: nowMs, launchId, cause: undefined }] };
}

/** The guard after the end of a probe that neither succeeded nor failed: it was stopped as planned. The next one is due now. */
export function withoutProbe(guard: GuardRecord, launchId: string, nowMs: number): GuardRecord {
  const { now } = guard;
  if (now.state !== "half_open" || now.probeLaunchId !== launchId) return guard;
  const { state: _, probeLaunchId: __, ...suspension } = now;
  return { ...guard, now: { state: "open", probeMs: nowMs, ...suspension } };
}

/** Milliseconds until the probe after so many openings. */
export function backoffMs({ firstBackoffMs, maxBackoffMs }: GuardRule, openings: number): number {
  return Math.min(maxBackoffMs, firstBackoffMs * 2 ** Math.min(openings - 1, 30));
}

function opened(
  rule: GuardRule,
  samples: readonly StartSample[],
  nowMs: number,
  openings: number,
  sinceMs: number,
): GuardState {
  const failures = samples.filter(({ cause }) => cause !== undefined);
  const { cause, count, launchId } = mostFrequent(failures);
  return {
    state: "open",
    probeMs: nowMs + backoffMs(rule, openings),
    ...{ sinceMs, openings, starts: samples.length, failed: failures.length },
    ...{ cause, causeCount: count, exampleLaunchId: launchId },
  };
}

/** The cause that most of them have; of two the one that came last. */
function mostFrequent(failures: readonly StartSample[]): { cause: string; count: number; launchId: string } {
  const counts = new Map<string, { cause: string; count: number; launchId: string }>();
  for (const { cause = "", launchId } of failures) {
    const count = (counts.get(cause)?.count ?? 0) + 1;
    counts.delete(cause);
    counts.set(cause, { cause, count, launchId });
  }
  let most = { cause: "", count: 0, launchId: "" };
  for (const each of counts.values()) if (each.count >= most.count) most = each;
  return most;
}

/** The limits of the tasks of a chaos run: concurrency keys, rates, capacities and a schedule. */
import type { ScheduleOptions } from "@muster/worker/client";

/** Concurrency keys of some of the tasks: busy ones, so that tasks wait for them, each with one limit. */
export const LIMITS: Readonly<Record<string, number>> = {
  ...{ "chaos-a": 1, "chaos-b": 2, "chaos-c": 5 },
  ...{ "chaos-strict-1": 1, "chaos-strict-2": 1, "chaos-strict-3": 1 },
};

/** Keys whose tasks start in the order of their ids. */
export const STRICT: ReadonlySet<string> = new Set(
  Object.keys(LIMITS).filter((key) => key.startsWith("chaos-strict")),
);

/** The rate limit of some of the tasks; the workers could run more. */
export const RATE = { key: "chaos-rate", limit: 20, periodS: 1, burst: 5 };

/** What a worker has of the capacity `gpu`, of which some tasks take 1 to 3. */
export const GPU = 4;

/** Payload that a worker takes ahead: some are so large that two do not fit, and are given back. */
export const AHEAD_BYTES = 1_000;

/** The schedule of a run: a tick every second. The workers' handlers of its tasks have nothing to do. */
export const SCHEDULE: ScheduleOptions & { readonly name: string; readonly everyS: number } = {
  ...{ name: "chaos-ticks", type: "work", payload: { ms: 0, failures: 0 }, everyS: 1 },
  ...{ overlap: "allow", catchUp: "all", catchUpLimit: 1_000 },
};

/** Losses must not use the policy up: what fails for good must be what was made to fail. The edits of a run leave enough, too. */
export const RETRY = { maxRetries: 1_000, delaysS: [0.1] };
export const MIN_EDITED_RETRIES = 500;
export const MAX_EDITED_RETRIES = 1_000;

/** A type that one worker alone runs, so that this one must never be quarantined. */
export const SOLE = { type: "sole", worker: "worker-1" };

/** The circuit of some tasks: it opens often, and for short, so that tasks wait for it and probe it. */
export const CIRCUIT = {
  ...{ key: "chaos", failureRate: 0.3, windowS: 5, minSamples: 2 },
  ...{ openForS: 1, maxOpenForS: 1, probes: 2 },
};

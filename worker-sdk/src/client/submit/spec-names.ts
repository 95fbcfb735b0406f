/** The names of a submit's options. */
import type { OptionNames } from "../../options/known-options.ts";
import type { SubmitCallOptions } from "../connection/call-options.ts";
import type { SubmitOptions, SubmitSpec } from "./submit-spec.ts";

/** Options of a submit and of its call, which come together. */
export const SPEC_NAMES: OptionNames<SubmitSpec & SubmitCallOptions> = {
  type: true,
  payload: true,
  queue: true,
  priority: true,
  delayS: true,
  runTime: true,
  uniqueKey: true,
  unique: true,
  concurrency: true,
  fairness: true,
  rateLimits: true,
  circuit: true,
  after: true,
  batchId: true,
  tags: true,
  parent: true,
  contentType: true,
  headers: true,
  requires: true,
  cost: true,
  retry: true,
  maxIterations: true,
  timeouts: true,
  watchdogs: true,
  timeoutS: true,
  signal: true,
  roomTimeoutS: true,
};

/** The options inside of those that are objects with names of their own. */
export const NESTED_NAMES = {
  unique: { key: true, while: true, windowS: true, onConflict: true },
  fairness: { key: true, weight: true },
  circuit: {
    key: true,
    failureRate: true,
    windowS: true,
    minSamples: true,
    openForS: true,
    maxOpenForS: true,
    probes: true,
  },
  requires: { labels: true, resources: true },
  retry: {
    maxRetries: true,
    delaysS: true,
    exponential: true,
    lostDelaysS: true,
    maxOutOfMemory: true,
    retryTimeouts: true,
    onOutOfMemory: true,
  },
  timeouts: { queueWaitS: true, runS: true, phasesS: true },
  watchdogs: { runS: true, phasesS: true },
} as const satisfies {
  readonly [Option in keyof SubmitOptions]?: OptionNames<NonNullable<SubmitOptions[Option]>>;
};

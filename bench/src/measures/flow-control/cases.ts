/** The cases whose cost the measure of flow control compares, each with the options of its tasks. */
import type { Client, SubmitOptions } from "@muster/worker/client";

/** A feature of flow control as tasks use it. */
export interface Case {
  readonly key: string;
  readonly label: string;
  /** Options of the task at this place in the order of submits. */
  readonly optionsOf?: (index: number) => SubmitOptions;
  /** What an operator sets before the tasks are submitted. */
  readonly prepare?: (client: Client) => Promise<void>;
  /** Least drain rate, as a share of the first case's. */
  readonly least?: number;
}

const KEYS = 1_000;

/** Of 2,048 attempts at once a key has two or three. */
const LIMIT = 4;

/** In this order in the table; the first one is what the others are compared with. */
export const CASES: readonly [Case, ...Case[]] = [
  { key: "none", label: "no flow control" },
  {
    key: "concurrency-key",
    label: "one concurrency key a task, 1,000 keys, nearly all of which admit",
    optionsOf: (index) => ({ concurrency: [{ key: `customer-${index % KEYS}`, limit: LIMIT }] }),
    least: 0.75,
  },
  {
    key: "fairness-key",
    label: "one fairness key a task, 1,000 keys",
    optionsOf: (index) => ({ fairness: { key: `customer-${index % KEYS}` } }),
  },
  {
    key: "rate-limit",
    label: "one rate limit a task, 1,000 keys, all of which have tokens",
    optionsOf: (index) => ({
      rateLimits: [{ key: `customer-${index % KEYS}`, limit: 1_000_000, periodS: 1, burst: 1_000_000 }],
    }),
  },
  {
    key: "circuit",
    label: "one circuit a task, 10 keys, all of which are closed",
    optionsOf: (index) => ({ circuit: { key: `service-${index % 10}`, failureRate: 0.5, minSamples: 20 } }),
  },
];

/** The columns of a task class. */
import type { Cost } from "../../../domain/matching/capacity.ts";
import type { Fairness } from "../../../domain/tasks/fairness.ts";
import type { CircuitRule } from "../../../domain/tasks/limits/circuit.ts";
import type { ConcurrencyKey } from "../../../domain/tasks/limits/concurrency.ts";
import type { RateLimit } from "../../../domain/tasks/limits/rate-limit.ts";

/** What a row has of its class. */
export interface ClassColumns {
  queue: string;
  type: string;
  labels: Record<string, string>;
  resources: string[];
  alone: boolean;
  concurrency: ConcurrencyKey[] | null;
  cost: Cost | null;
  rate_limits: RateLimit[] | null;
  circuit: CircuitRule | null;
  fairness: Fairness | null;
}

const NAMES = {
  queue: true,
  type: true,
  labels: true,
  resources: true,
  alone: true,
  concurrency: true,
  cost: true,
  rate_limits: true,
  circuit: true,
  fairness: true,
} satisfies Record<keyof ClassColumns, true>;

/** The columns of the table `task_class`, of a row with this prefix, for example `c.`. */
export function classColumns(prefix = ""): string {
  return Object.keys(NAMES)
    .map((name) => prefix + name)
    .join(", ");
}

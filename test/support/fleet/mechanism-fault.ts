/** A fault that a mechanism answers, as a test drives it. */
import type { Fleet } from "./fleet.ts";
import type { Counts } from "./mechanism-counts.ts";

/** A fault that lasts. */
export interface Driven {
  /** Ends it, and waits for the ends of its tasks. */
  readonly end: () => Promise<void>;
  /** What must be true afterwards where the mechanism acted, and where it did not. */
  readonly afterAct?: () => Promise<void>;
  readonly afterObserve?: () => Promise<void>;
}

export interface MechanismFault {
  /** The queue of its tasks, the key of its circuit, and how the names of its workers begin. */
  readonly key: string;
  /** By the number in docs/faults.md. */
  readonly fault: string;
  /** How often each mechanism acts, and would have acted. */
  readonly expected: Counts;
  readonly drive: (fleet: Fleet, key: string) => Promise<Driven>;
}

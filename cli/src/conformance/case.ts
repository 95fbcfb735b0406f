/** A conformance case: what the documents say, what the scheduler does, and what a worker must do. */
import type { Trial } from "./trial.ts";

/** Levels that a worker may claim, each with those before it. */
export const LEVELS = ["basic", "resilient", "complete"] as const;

/** A level. */
export type Level = (typeof LEVELS)[number];

/** A sentence of the documents, word for word: a test compares it with the page. */
export interface Rule {
  /** Page and section, for example `docs/protocol.md#rules`. */
  readonly page: string;
  readonly says: string;
}

/** One case. Ids are stable: a case is added, never renumbered. */
export interface ConformanceCase {
  readonly id: string;
  readonly title: string;
  readonly rule: Rule;
  /** What the scheduler does. */
  readonly scheduler: string;
  /** What the worker must do. */
  readonly expected: string;
  /** @throws Mismatch when the worker does something else; NotClaimed when the case is not for it. */
  readonly run: (trial: Trial) => Promise<void>;
}

/** A case with its level. */
export interface LevelledCase extends ConformanceCase {
  readonly level: Level;
}

/** The form of a measure. */
import type { Lab } from "../lab/lab.ts";
import type { Sample } from "../report/sample.ts";
import type { Findings } from "../report/table.ts";
import type { SystemSpec } from "../systems/catalogue.ts";

/** What a measure is given. */
export interface Context {
  readonly lab: Lab;
  /** Repetitions; figures shown are medians over them. */
  readonly runs: number;
  /** Added to the number of each run: how many the file holds already. */
  readonly firstRun: number;
  /** A smoke test: a few tasks, no care for figures. */
  readonly quick: boolean;
  readonly systems: readonly SystemSpec[];
  /** Folder for CPU profiles of Muster's processes, absolute. */
  readonly profile: string | undefined;
  /** Tasks that every system runs before throughput is measured; undefined for the measure's own number. */
  readonly warmUp: number | undefined;
  /** Set when Ctrl-C was pressed: a measure ends at its next step. */
  readonly signal: AbortSignal;
  /** Keeps a sample. */
  record(sample: Omit<Sample, "measure">): void;
  /** Prints progress to the terminal. */
  say(text: string): void;
}

/** A measure of the bench. */
export interface Measure {
  readonly name: string;
  /** One line for `--help`. */
  readonly summary: string;
  /** Whether it measures other systems beside Muster; those that do share one Redis. */
  readonly compares: boolean;
  run(context: Context): Promise<void>;
  /** Tables, targets and charts from samples of this measure, of however many invocations. */
  report(samples: readonly Sample[]): Findings;
}

/** Chooses samples of a report. */
import type { Sample } from "./sample.ts";
import { median } from "./statistics.ts";

/** What samples must have to be chosen; a field left out chooses all. */
export interface Selection {
  readonly part?: string;
  readonly subject?: string;
  readonly parameters?: Readonly<Record<string, number>>;
}

/** Samples that fit. */
export function select(samples: readonly Sample[], wanted: Selection): readonly Sample[] {
  return samples.filter(
    (sample) =>
      (wanted.part === undefined || sample.part === wanted.part) &&
      (wanted.subject === undefined || sample.subject === wanted.subject) &&
      Object.entries(wanted.parameters ?? {}).every(([name, value]) => sample.parameters[name] === value),
  );
}

/** Median of a value over the samples that fit; NaN when none has it. */
export function medianOf(samples: readonly Sample[], wanted: Selection, value: string): number {
  return median(select(samples, wanted).flatMap(({ values }) => values[value] ?? []));
}

/** Values that a parameter takes, rising. */
export function parameterValues(samples: readonly Sample[], parameter: string): readonly number[] {
  const values = samples.flatMap(({ parameters }) => parameters[parameter] ?? []);
  return [...new Set(values)].sort((a, b) => a - b);
}

/** Subjects in the order in which they were first measured. */
export function subjects(samples: readonly Sample[]): readonly string[] {
  return [...new Set(samples.map(({ subject }) => subject))];
}

/** How many times the samples that fit were measured. */
export function runsOf(samples: readonly Sample[], wanted: Selection = {}): number {
  return new Set(select(samples, wanted).map(({ run }) => run)).size;
}

/** `at most` and its kin: met when there is a figure and it holds. */
export function isMet(measured: number, holds: (measured: number) => boolean): boolean | undefined {
  return Number.isFinite(measured) ? holds(measured) : undefined;
}

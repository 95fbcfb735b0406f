/** The form of a measurement; what is shown is computed from these. */
import type { Machine } from "./machine.ts";

/** One measurement of one system in one run. What is shown is computed from these. */
export interface Sample {
  /** Name of the measure, for example `throughput`. */
  readonly measure: string;
  /** Which part of the measure, for example `drain`; distinguishes samples of different kinds. */
  readonly part: string;
  /** Key of the system or of the variant. */
  readonly subject: string;
  /** 1 for the first; systems are interleaved, so equal numbers were measured close together. */
  readonly run: number;
  /** What was asked for: tasks, bytes, callers. */
  readonly parameters: Readonly<Record<string, number>>;
  /** What was measured; the unit is the end of the name (`_per_s`, `_ms`, `_us`, `_bytes`, `_kib`, `_ratio`). */
  readonly values: Readonly<Record<string, number>>;
  /** Set instead of values when it could not be measured: why. */
  readonly skipped?: string;
}

/** The JSON file. */
export interface BenchReport {
  readonly format: 1;
  readonly createTime: string;
  /** True for `--quick`: figures of a smoke test, which mean nothing. */
  readonly quick: boolean;
  /** Every command that added samples. */
  readonly commands: readonly string[];
  readonly machine: Machine;
  readonly samples: readonly Sample[];
}

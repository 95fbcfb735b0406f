import { CAPACITY } from "./capacity.ts";
import { latency } from "./latency.ts";
import type { Measure } from "./measure.ts";
import { sustained } from "./sustained.ts";
import { throughput } from "./throughput.ts";

/** Every measure, in the order in which they run and are shown. */
export const MEASURES: readonly Measure[] = [throughput, sustained, latency, ...CAPACITY];

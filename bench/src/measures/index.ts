import type { Measure } from "./measure.ts";
import { throughput } from "./throughput.ts";

/** Every measure, in the order in which they run and are shown. */
export const MEASURES: readonly Measure[] = [throughput];

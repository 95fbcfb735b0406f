/** How long this machine has kept processes waiting: what a bound of time is extended by under load. */
import { readFileSync } from "node:fs";

/**
 * For how long some process has waited for a processor or a disk since the machine started, milliseconds. 0 where the
 * kernel does not count it; Linux does in `/proc/pressure`.
 */
export function stalledMs(): number {
  return total("cpu") + total("io");
}

/** `some avg10=0.00 avg60=0.00 avg300=0.00 total=MICROSECONDS` */
function total(resource: "cpu" | "io"): number {
  try {
    const text = readFileSync(`/proc/pressure/${resource}`, "utf8");
    return Number(/^some .*total=(\d+)$/m.exec(text)?.at(1) ?? 0) / 1_000;
  } catch {
    // Another system, or a kernel without the counters: the fixed slack is all that a bound gets then.
    return 0;
  }
}

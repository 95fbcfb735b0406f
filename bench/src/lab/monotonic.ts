/**
 * CLOCK_MONOTONIC in milliseconds. On Linux it is one clock for all processes of a machine, so a moment taken
 * in the producer can be subtracted from one taken in a worker.
 */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000;
}

/** Blocks the main loop. */

/**
 * Blocks this thread for some seconds, as a handler that computes without a pause does: no timer, no promise and no message is
 * handled meanwhile. The connection's thread and the scheduler of a `testKit()` have loops of their own.
 *
 * @throws RangeError beyond 0 to 600 seconds.
 */
export function blockLoop(seconds: number): void {
  if (!(seconds >= 0 && seconds <= 600)) throw new RangeError(`blockLoop(${seconds}): give 0 to 600 seconds`);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000);
}

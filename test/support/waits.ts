/** Waits of tests: how long at most, and how a bound that the product promises is measured on a busy machine. */
import { setTimeout as delay } from "node:timers/promises";
import { stalledMs } from "./programs/pressure.ts";

/** The longest wait for what must come. It costs time only in a test that fails. */
export const WAIT_MS = 60_000;

/**
 * Added to every bound: for what the parts under test need beside their timers. Two heartbeats of the fault tests. Of 233
 * bounded waits on two cores with 25 to 40 processes ready to run, three ended after their bound, by 247 ms at most, and all
 * of that was time without a processor.
 */
const SLACK_MS = 400;

/**
 * Pause between two looks: an eighth of the wait so far, within these bounds. A look is mostly a call and its statements:
 * with 25 ms throughout, a wait of a lease and a grace took 70 of them, and now takes 30.
 */
const PAUSE_MS = { least: 25, most: 100 } as const;

/** What a look takes while nothing else runs. */
const LOOK_MS = 25;

/** What was waited for. */
export interface Found<T> {
  readonly value: T;
  readonly afterMs: number;
}

/**
 * Looks until there is an answer. Fails when a look that begins after the bound and the slack finds none: how late the
 * test itself gets to look makes no difference. Time for which processes of this machine wait for a processor or a disk
 * does not count, up to `WAIT_MS` of it; nor does what a look takes longer than on an idle machine.
 *
 * @param look Answers undefined while there is nothing.
 * @param saw What was there instead, for the error.
 */
export async function within<T>(
  what: string,
  boundMs: number,
  look: () => T | undefined | Promise<T | undefined>,
  saw: () => string = () => "",
): Promise<Found<T>> {
  const began = performance.now();
  const stalledBefore = stalledMs();
  let lateMs = 0;
  for (;;) {
    const beganMs = performance.now() - began;
    const value = await look();
    if (value !== undefined) return { value, afterMs: performance.now() - began };
    const allowedMs = boundMs + SLACK_MS;
    if (beganMs > allowedMs) {
      const busyMs = Math.min(Math.max(stalledMs() - stalledBefore, lateMs), WAIT_MS);
      if (beganMs - busyMs > allowedMs)
        throw new Error(
          `${what}: not within ${boundMs} ms + ${SLACK_MS} (looked for ${Math.round(beganMs)} ms, ${Math.round(busyMs)} of them on a busy machine)${saw()}`,
        );
    }
    const pauseMs = Math.min(PAUSE_MS.most, Math.max(PAUSE_MS.least, beganMs / 8));
    await delay(pauseMs);
    lateMs += Math.max(0, performance.now() - began - beganMs - pauseMs - LOOK_MS);
  }
}

/** Looks until there is an answer, for what has no bound of its own. */
export async function until<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  saw?: () => string,
): Promise<T> {
  return (await within(what, WAIT_MS, look, saw)).value;
}

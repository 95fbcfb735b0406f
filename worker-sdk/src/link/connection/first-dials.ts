/** Waits between the dials of a start. */
import type { Random } from "../../network/backoff.ts";
import { Backoff } from "../../network/backoff.ts";
import { goesDirect } from "../../network/proxy.ts";

/** First wait: a scheduler and its workers are often started together, and the scheduler needs longer. */
const BASE_MS = 250;

/** Longest wait on the same machine, where a refused dial is cheap and no fleet has to be spread. */
const MAX_LOCAL_MS = 1_500;

/** Waits between dials until the first registration: shorter than those after a lost connection. */
export function firstDials(addresses: readonly string[], random: Random): Backoff {
  const local = addresses.every(goesDirect);
  return new Backoff({ baseMs: BASE_MS, random, ...(local ? { maxMs: MAX_LOCAL_MS } : {}) });
}

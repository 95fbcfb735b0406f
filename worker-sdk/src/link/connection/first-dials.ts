import type { Random } from "../../network/backoff.ts";
import { Backoff } from "../../network/backoff.ts";
import { goesDirect } from "../../network/proxy.ts";

/** A scheduler and its workers are often started together, and the scheduler needs a moment longer. */
const BASE_MS = 250;

/** On the same machine a refused dial costs next to nothing, and there is no fleet to spread. */
const MAX_LOCAL_MS = 1_500;

/** Waits between dials until the first registration: closer together than those after a lost connection. */
export function firstDials(addresses: readonly string[], random: Random): Backoff {
  const local = addresses.every(goesDirect);
  return new Backoff({ baseMs: BASE_MS, random, ...(local ? { maxMs: MAX_LOCAL_MS } : {}) });
}

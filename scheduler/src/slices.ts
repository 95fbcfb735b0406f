/** Divides long computations, so that other callbacks run in between. */
import { systemClock } from "./clock.ts";

/** Longest piece of work before other callbacks get their turn, milliseconds. */
const SLICE_MS = 10;

/** Cuts a long piece of work into slices, so that heartbeats and other calls do not wait for all of it. */
export class Slices {
  #since = systemClock.monotonic();

  /** True when the slice has lasted long enough: then call `next`. */
  get isOver(): boolean {
    return systemClock.monotonic() - this.#since >= SLICE_MS;
  }

  /** Resolves when every callback that is due has had its turn. */
  async next(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#since = systemClock.monotonic();
  }
}

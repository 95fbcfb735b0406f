/** Reads a stream of the scheduler, and opens it again when it drops. */
import { Code } from "@connectrpc/connect";
import { sleep } from "../../clock.ts";
import { Backoff, type Random } from "../../network/backoff.ts";
import { isDropped } from "../connection/dropped.ts";

/** Breaks in a row, without a message between them, after which a bug is assumed and the error is thrown. */
const MAX_UNEXPLAINED = 5;

/**
 * Yields the messages of a stream. One that drops is opened again with backoff, without a limit.
 *
 * @param open Called for each stream; it asks for what has not come yet.
 * @param options.reopenEnded Whether a stream that the scheduler ends is opened again too: its reader leaves it.
 * @throws the reason of the signal when it aborts.
 */
export async function* resumed<T>(
  open: () => AsyncIterable<T>,
  options: { readonly signal: AbortSignal; readonly random: Random; readonly reopenEnded: boolean },
): AsyncGenerator<T, void, undefined> {
  const { signal, random, reopenEnded } = options;
  const backoff = new Backoff({ baseMs: 200, maxMs: 5000, random });
  let unexplained = 0;
  for (;;) {
    try {
      for await (const message of open()) {
        backoff.reset();
        unexplained = 0;
        yield message;
      }
      if (!reopenEnded) return;
    } catch (error) {
      signal.throwIfAborted();
      if (!isDropped(error)) throw error;
      if (error.code !== Code.Unavailable) unexplained += 1;
      if (unexplained > MAX_UNEXPLAINED) throw error;
    }
    await sleep(backoff.next(), signal);
  }
}

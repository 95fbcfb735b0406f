/** Follows a stream while the page is visible, and opens it again when it breaks. */
import { useEffect, useEffectEvent, useState } from "react";
import { sleep } from "./clock.ts";
import { messageOf } from "./transport.ts";

/** Wait after the first break, milliseconds; it doubles with each further one. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;

/** `open`: messages come. `cut`: it is opened again. `ended`: there is nothing more to come. */
export type StreamState =
  | { readonly kind: "open" | "ended" }
  | { readonly kind: "cut"; readonly why: string };

/**
 * Messages of a stream, one after the other. A browser has six connections to an address for all of its pages: a hidden page
 * gives its own back.
 *
 * @param open Opens it; called again after a break. @param key The stream is another one when this changes.
 */
export function useStream<M>(
  key: string,
  open: (signal: AbortSignal) => AsyncIterable<M>,
  onMessage: (message: M) => void,
): StreamState {
  const [state, setState] = useState<StreamState>({ kind: "open" });
  const opened = useEffectEvent(open);
  const receive = useEffectEvent(onMessage);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key names the stream
  useEffect(() => {
    let running: AbortController | undefined;
    const follow = async (signal: AbortSignal) => {
      for (let wait = FIRST_WAIT_MS; !signal.aborted; wait = Math.min(LONGEST_WAIT_MS, wait * 2)) {
        try {
          for await (const message of opened(signal)) {
            setState((before) => (before.kind === "open" ? before : { kind: "open" }));
            wait = FIRST_WAIT_MS;
            receive(message);
          }
          return setState({ kind: "ended" });
        } catch (error) {
          if (signal.aborted) return;
          setState({ kind: "cut", why: messageOf(error) });
        }
        await sleep(wait, signal);
      }
    };
    const look = () => {
      if (document.hidden) {
        running?.abort();
        running = undefined;
      } else if (!running) {
        running = new AbortController();
        void follow(running.signal);
      }
    };
    setState({ kind: "open" });
    look();
    document.addEventListener("visibilitychange", look);
    return () => {
      document.removeEventListener("visibilitychange", look);
      running?.abort();
    };
  }, [key]);
  return state;
}

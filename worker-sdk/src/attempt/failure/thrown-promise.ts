/** Handles thrown promises. */
import { types } from "node:util";

/** Promises whose reason is again a promise are followed so far. */
const MAX_DEPTH = 8;

/**
 * Takes charge of a promise that was thrown (`throw Promise.reject(error)`): nothing else handles its rejection, which
 * would otherwise end the process. Anything else is left alone.
 */
export function handleThrownPromise(thrown: unknown): void {
  if (!types.isPromise(thrown)) return;
  thrown.catch(() => {
    // The throw itself is what is reported.
  });
}

/**
 * The error behind a throw: for a promise that is rejected its reason, for one that is not the promise itself. Wrapped,
 * because a promise that an async function returns is awaited.
 */
export async function readThrownPromise(thrown: unknown): Promise<{ readonly error: unknown }> {
  let error = thrown;
  for (let depth = 0; depth < MAX_DEPTH && types.isPromise(error); depth += 1) {
    const promise = error;
    promise.then(undefined, (reason: unknown) => {
      error = reason;
    });
    // A rejected promise calls its handler before this continues; a pending one is not waited for.
    await undefined;
    if (error === promise) break;
  }
  handleThrownPromise(error);
  return { error };
}

/** The channel of an isolated handler's process to its worker. */
import type { FromChild } from "../messages.ts";

/** Sends a message, in an envelope: a handler may send messages of its own kinds, which the worker ignores. It has left the process when this returns, unless the worker has fallen behind in reading. */
export function toWorker(message: FromChild): void {
  // The worker is gone: the guard ends this process.
  if (process.connected) process.send?.({ muster: message }, undefined, undefined, ignoreGone);
}

function ignoreGone(): void {}

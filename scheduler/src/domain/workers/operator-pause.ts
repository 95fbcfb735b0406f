/** A worker's pause by an operator, and what remains of the reason that the worker itself reports. */

/** A pause of a worker by an operator. */
export interface OperatorPause {
  /** Who paused it and why, as they said. */
  readonly reason: string;
  /** By the database's clock. */
  readonly since: Date;
}

/**
 * Why the worker asks for no new work by itself; undefined when it does not. A worker that reports the operator's own
 * words only obeys.
 */
export function ownPauseReason(
  beat: { readonly paused: boolean; readonly pauseReason: string } | undefined,
  pause: OperatorPause | undefined,
): string | undefined {
  if (!beat?.paused || (pause && beat.pauseReason === pause.reason)) return undefined;
  return beat.pauseReason || "paused";
}

/** Both reasons in one text; undefined when the worker takes work. */
export function pauseInWords(own: string | undefined, pause: OperatorPause | undefined): string | undefined {
  if (!pause) return own;
  const byOperator = `paused by an operator: ${pause.reason}`;
  return own === undefined ? byOperator : `${own}; ${byOperator}`;
}

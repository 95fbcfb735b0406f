/** A hold: an operator keeps a waiting task from starting until it is released. */
export interface Hold {
  /** Who asked and why, as they gave it. */
  readonly reason: string;
  readonly since: Date;
}

/** The detail of a task that is held. */
export const HELD_DETAIL = "held";

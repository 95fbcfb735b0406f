/** What is chosen and opened on the screen of `muster top`, and what keys make of it. */

/** A task or a worker. */
export interface Subject {
  readonly kind: "task" | "worker";
  readonly id: string;
}

/** Where the user is. */
export interface Place {
  /** The row that Enter opens; undefined for none. */
  readonly selected?: Subject | undefined;
  /** What is explained on the whole screen; undefined for the overview. */
  readonly opened?: Subject | undefined;
  /** Lines of the explanation that are scrolled off the top. */
  readonly scrolled: number;
}

export const START: Place = { scrolled: 0 };

const CTRL_C = "\u0003";
const CTRL_D = "\u0004";
const ESCAPE = "\u001b";

/** Steps of the keys that move; terminals send arrows in two forms. */
const MOVES: Readonly<Record<string, number>> = {
  j: 1,
  k: -1,
  "\u001b[B": 1,
  "\u001b[A": -1,
  "\u001bOB": 1,
  "\u001bOA": -1,
};

/**
 * The place after a key; undefined to quit.
 *
 * @param rows What the rows on the screen are, from the top.
 * @param most Lines of the explanation that can be scrolled off.
 */
export function afterKey(
  place: Place,
  key: string,
  rows: readonly Subject[],
  most: number,
): Place | undefined {
  if (key === "q" || key === "Q" || key === CTRL_C || key === CTRL_D) return undefined;
  const step = MOVES[key];
  if (place.opened) {
    if (key === ESCAPE) return { selected: place.selected, scrolled: 0 };
    if (step === undefined) return place;
    return { ...place, scrolled: Math.min(Math.max(place.scrolled + step, 0), Math.max(most, 0)) };
  }
  if (key === ESCAPE) return START;
  if (key === "\r" || key === "\n") {
    const isShown = rows.some((row) => isSame(row, place.selected));
    return isShown ? { selected: place.selected, opened: place.selected, scrolled: 0 } : place;
  }
  if (step === undefined || rows.length === 0) return place;
  const at = rows.findIndex((row) => isSame(row, place.selected));
  const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + step, 0), rows.length - 1);
  return { ...place, selected: rows[next] };
}

export function isSame(a: Subject | undefined, b: Subject | undefined): boolean {
  return a !== undefined && a.kind === b?.kind && a.id === b.id;
}

/** Finds the rows that make a statement fail. */
import { isAbsence } from "../../../domain/errors.ts";

/** So many rows in a row that are refused while none is taken say that it is not the rows. */
const SAMPLE = 3;

/** What became of rows that were written one by one. */
export interface Sifted<T, R> {
  readonly taken: readonly { readonly row: T; readonly result: R }[];
  readonly refused: readonly { readonly row: T; readonly error: unknown }[];
  /** What the last try that failed said. */
  readonly error: unknown;
}

/**
 * Writes the rows of a refused batch one by one, so that one of them does not hold up the others. Stops early when it
 * seems to be the database and not the rows.
 *
 * @param from Where to begin, in rounds: each try of the same rows begins with others.
 */
export async function sift<T, R>(
  rows: readonly T[],
  from: number,
  write: (row: T) => Promise<R>,
): Promise<Sifted<T, R>> {
  const taken: { row: T; result: R }[] = [];
  const refused: { row: T; error: unknown }[] = [];
  const start = (from * SAMPLE) % Math.max(1, rows.length);
  let last: unknown;
  for (const row of [...rows.slice(start), ...rows.slice(0, start)]) {
    try {
      taken.push({ row, result: await write(row) });
    } catch (error) {
      last = error;
      if (isAbsence(error)) break;
      refused.push({ row, error });
      if (taken.length === 0 && refused.length === SAMPLE) break;
    }
  }
  return { taken, refused, error: last };
}

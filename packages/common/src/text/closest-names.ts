/**
 * Names that a typo may stand for: those that differ only in case, separators or a plural, or in at most a third of
 * their letters. The nearest come first, three at most; the name itself is never among them.
 */
export function closestNames(name: string, known: Iterable<string>): string[] {
  return [...new Set(known)]
    .filter((candidate) => candidate !== name)
    .map((candidate) => ({ candidate, far: farness(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, far }) => far <= Math.max(name.length, candidate.length) / 3)
    .sort((a, b) => a.far - b.far || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

/** A name that is the beginning of another up to a separator is as near as one letter: `ocr` for `ocr.page`. */
function farness(a: string, b: string): number {
  if (bare(a) === bare(b)) return bare(a) === "" ? Number.POSITIVE_INFINITY : 0;
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  if (short.length >= 2 && long.startsWith(short) && /^[._:/-]/.test(long.slice(short.length))) return 1;
  return distance(a, b);
}

/** Without separators, and without the `s` of a plural. */
function bare(name: string): string {
  return name.replace(/[\s._:/-]+/g, "").replace(/s$/, "");
}

/**
 * Letters to insert, drop, replace or swap with their neighbour (optimal string alignment): two letters
 * swapped are the commonest typo, and the plain distance counts them as two.
 */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let best = Math.min(
        (above[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (above[column - 1] ?? 0) + (same ? 0 : 1),
      );
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        best = Math.min(best, (before[column - 2] ?? 0) + 1);
      }
      current.push(best);
    }
    before = above;
    above = current;
  }
  return above[b.length] ?? 0;
}

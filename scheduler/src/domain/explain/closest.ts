import { distance } from "fastest-levenshtein";

/** Names that a typo may have missed: at most a third of the letters differ, nearest first, at most three. */
export function closest(name: string, known: Iterable<string>): string[] {
  return [...known]
    .map((candidate) => ({ candidate, far: distance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, far }) => far <= Math.max(name.length, candidate.length) / 3)
    .sort((a, b) => a.far - b.far || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

/** Estimates quantiles of values that were counted in buckets. */

/**
 * The value that `share` of the values do not exceed, by linear interpolation within its bucket; of the last bucket, which
 * has no upper bound, its lower one.
 *
 * @param bounds Upper bounds, ascending. @param counts One more than there are bounds.
 * @returns Undefined when nothing was counted, or by other buckets.
 */
export function quantile(
  bounds: readonly number[],
  counts: readonly number[],
  share: number,
): number | undefined {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0 || counts.length !== bounds.length + 1) return undefined;
  const wanted = total * share;
  let below = 0;
  for (const [index, count] of counts.entries()) {
    if (below + count < wanted || count === 0) {
      below += count;
      continue;
    }
    const low = index === 0 ? 0 : (bounds[index - 1] ?? 0);
    const high = bounds[index] ?? low;
    return low + (high - low) * ((wanted - below) / count);
  }
  return bounds.at(-1);
}

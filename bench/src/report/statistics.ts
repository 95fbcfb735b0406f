/** The value below which the share `q` (0 to 1) of the values lies, by linear interpolation; NaN without values. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const position = (sorted.length - 1) * q;
  const below = sorted[Math.floor(position)];
  const above = sorted[Math.ceil(position)];
  if (below === undefined || above === undefined) return Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}

/** The middle value; NaN without values. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

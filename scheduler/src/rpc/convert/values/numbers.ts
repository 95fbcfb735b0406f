// Numbers from outside, bounded to what is exact here.

/** A 64-bit number as one that is exact here; beyond that the nearest that is. */
export function toCount(value: bigint | number): number {
  return Math.min(Number.MAX_SAFE_INTEGER, Math.max(Number.MIN_SAFE_INTEGER, Number(value)));
}

/** A share from 0 to 1; the nearest to what was sent. */
export function toFraction(value: number): number {
  return Math.min(1, Math.max(0, value || 0));
}

/** Reads durations with units, such as `90s`. */

const UNITS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;

const NUMBER = String.raw`\d+(?:\.\d+)?`;
const PATTERN = new RegExp(
  `^(?:(?<d>${NUMBER})d)?(?:(?<h>${NUMBER})h)?(?:(?<m>${NUMBER})m(?!s))?(?:(?<s>${NUMBER})s)?(?:(?<ms>${NUMBER})ms)?$`,
);

/**
 * Milliseconds of a duration: `90s`, `5m`, `1h30m`, `1.5h`, `250ms`, `2d`. Units go from large to small,
 * each at most once. A number without a unit is refused.
 *
 * @throws RangeError with what was wrong and an example.
 */
export function parseDuration(text: string): number {
  const groups = PATTERN.exec(text.trim())?.groups;
  const parts = Object.entries(UNITS).map(([unit, ms]) => ({ amount: groups?.[unit], ms }));
  if (groups === undefined || parts.every(({ amount }) => amount === undefined)) {
    // No hint for zero: it is rarely meant, and often refused.
    const hint =
      /^\d+(\.\d+)?$/.test(text.trim()) && Number(text) > 0
        ? `${text.trim()}s or ${text.trim()}m`
        : "90s, 5m or 1h30m";
    throw new RangeError(`"${text}" is not a duration: write it with its unit, for example ${hint}`);
  }
  return Math.round(parts.reduce((sum, { amount, ms }) => sum + Number(amount ?? 0) * ms, 0));
}

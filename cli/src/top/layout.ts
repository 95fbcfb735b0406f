/**
 * How many rows each section gets: every section that has rows gets one, then one more each in turn until the
 * room or the rows are used up.
 *
 * @param wanted Rows that each section has.
 * @param room Rows that there are for all.
 */
export function shareRows(wanted: readonly number[], room: number): number[] {
  const given = wanted.map(() => 0);
  for (let left = room; left > 0; ) {
    const before = left;
    for (const [index, want] of wanted.entries()) {
      if (left === 0 || (given[index] ?? 0) >= want) continue;
      given[index] = (given[index] ?? 0) + 1;
      left--;
    }
    if (left === before) break;
  }
  return given;
}

/**
 * The number of rows of each section: every section with rows gets one, then one more in turn until the space or the rows
 * are used up.
 *
 * @param wanted Rows of each section.
 * @param room Rows for all sections.
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

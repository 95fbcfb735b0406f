/** What a worker holds of its slots, in a few characters. */

/** `3/4`; `3/4 +2` when two more attempts wait without their slots. */
export function busyText({
  activeCount,
  releasedCount,
  slotCount,
}: {
  readonly activeCount: number;
  readonly releasedCount: number;
  readonly slotCount: number;
}): string {
  const waiting = releasedCount > 0 ? ` +${releasedCount}` : "";
  return `${Math.max(0, activeCount - releasedCount)}/${slotCount}${waiting}`;
}

/** Reads how far a program is from the lines that it prints. */
import type { ProgressCount } from "../attempt/reports/progress-count.ts";

/** How far a program is. */
export interface LineProgress {
  readonly howFar: number | ProgressCount;
  readonly message: string | undefined;
}

/** Undefined when the line has none, or none that is within its bounds: a program may print anything. */
export function progressIn(line: string, pattern: RegExp): LineProgress | undefined {
  const groups = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, "")).exec(line)?.groups;
  if (groups === undefined) return undefined;
  const { percent, fraction, done, total, message } = groups;
  const share = percent === undefined ? toNumber(fraction) : toNumber(percent, 100);
  if (share !== undefined) return share >= 0 && share <= 1 ? { howFar: share, message } : undefined;
  const [count, all] = [toNumber(done), toNumber(total)];
  if (count === undefined || !Number.isSafeInteger(count) || count < 0) return undefined;
  const known = all !== undefined && Number.isSafeInteger(all) && all >= count;
  return { howFar: known ? { done: count, total: all } : { done: count }, message };
}

function toNumber(text: string | undefined, divisor = 1): number | undefined {
  if (text === undefined || !/^\s*\d+(\.\d+)?\s*$/.test(text)) return undefined;
  return Number(text) / divisor;
}

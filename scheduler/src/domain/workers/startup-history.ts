/** How long a worker's startup usually takes: from earlier starts of its id, else of its pool. */

/** An earlier start that became ready. */
export interface EarlierStart {
  readonly workerId: string;
  /** Empty for none. */
  readonly pool: string;
  /** When it first reached each phase, `ready` among them, in milliseconds since its process started. */
  readonly reached: Readonly<Record<string, number>>;
}

/** A worker process that is starting. */
export interface StartingWorker {
  readonly workerId: string;
  readonly pool: string;
  readonly phases: readonly { readonly phase: string; readonly elapsedMs: number }[];
  /** Since its process started, milliseconds. */
  readonly ageMs: number;
}

/** What earlier starts say of one. Times are milliseconds. */
export interface UsualStartup {
  /** How many starts. */
  readonly starts: number;
  /** True: of its own id; else of its pool. */
  readonly own: boolean;
  /** The last phase that it has reached and enough of them had; undefined for the start of the process. */
  readonly phase: string | undefined;
  /** Since that phase. */
  readonly spentMs: number;
  /** From that phase to `ready`: the median, and what nine of ten did not exceed. */
  readonly restMs: number;
  readonly slowRestMs: number;
}

/** The phase in which a worker takes work. */
export const READY = "ready";

/** Fewer starts say nothing. */
const LEAST_STARTS = 3;

/** Starts of one worker or pool that count, the newest. */
export const MOST_STARTS = 20;

/** What earlier starts say of this one; undefined while there are too few. */
export function usualStartup(
  { workerId, pool, phases, ageMs }: StartingWorker,
  earlier: readonly EarlierStart[],
): UsualStartup | undefined {
  const complete = earlier.filter(({ reached }) => reached[READY] !== undefined);
  const ownStarts = complete.filter((start) => start.workerId === workerId).slice(0, MOST_STARTS);
  const own = ownStarts.length >= LEAST_STARTS;
  const starts = own
    ? ownStarts
    : complete.filter((start) => pool !== "" && start.pool === pool).slice(0, MOST_STARTS);
  if (starts.length < LEAST_STARTS) return undefined;
  for (const { phase, elapsedMs } of phases.toReversed()) {
    const rests = starts.flatMap(({ reached }) => {
      const [at, ready] = [reached[phase], reached[READY]];
      return at === undefined || ready === undefined ? [] : [Math.max(0, ready - at)];
    });
    if (rests.length >= LEAST_STARTS)
      return { ...summary(rests), own, phase, spentMs: Math.max(0, ageMs - elapsedMs) };
  }
  const whole = starts.map(({ reached }) => reached[READY] ?? 0);
  return { ...summary(whole), own, phase: undefined, spentMs: ageMs };
}

function summary(rests: readonly number[]): Pick<UsualStartup, "starts" | "restMs" | "slowRestMs"> {
  const sorted = rests.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { starts: rests.length, restMs: at(0.5), slowRestMs: at(0.9) };
}

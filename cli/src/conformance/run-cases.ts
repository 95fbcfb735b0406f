/** Runs cases side by side. */
import type { Clock } from "../clock.ts";
import type { LevelledCase } from "./case.ts";
import { CannotStart, Mismatch, NotClaimed } from "./mismatch.ts";
import { Trial, type TrialOptions } from "./trial.ts";

/** What became of a case. */
export interface CaseResult {
  readonly case: LevelledCase;
  readonly outcome: "passed" | "failed" | "skipped";
  readonly tookMs: number;
  /** What was expected, of a case that failed. */
  readonly expected: string;
  /** What came instead, or why the case was skipped. */
  readonly came: string;
  /** Messages of the streams in order, of a case that failed. */
  readonly transcript: readonly string[];
  /** The end of the worker's output, of a case that failed. */
  readonly output: string;
}

/** How cases are run. */
export interface RunOptions extends TrialOptions {
  readonly clock: Clock;
  /** Cases at once. */
  readonly jobs: number;
  /** Called with each result, in the order of the cases. */
  readonly done?: (result: CaseResult) => void;
  /** Starts no further case, and ends those that run. */
  readonly signal?: AbortSignal;
}

/**
 * Runs the cases and returns their results in order.
 *
 * @throws CannotStart when the worker's program cannot be run.
 */
export async function runCases(cases: readonly LevelledCase[], options: RunOptions): Promise<CaseResult[]> {
  const results = new Array<CaseResult | undefined>(cases.length);
  let next = 0;
  let reported = 0;
  let fault: unknown;
  const work = async (): Promise<void> => {
    while (fault === undefined && !options.signal?.aborted) {
      const index = next++;
      const one = cases[index];
      if (one === undefined) return;
      try {
        results[index] = await runCase(one, options);
      } catch (error) {
        fault ??= error;
        return;
      }
      for (let result = results[reported]; result !== undefined; result = results[++reported])
        options.done?.(result);
    }
  };
  await Promise.all(Array.from({ length: Math.min(options.jobs, cases.length) }, work));
  if (fault !== undefined) throw fault;
  return results.filter((result) => result !== undefined);
}

async function runCase(one: LevelledCase, options: RunOptions): Promise<CaseResult> {
  const trial = new Trial(options);
  const stop = (): void => void trial.close();
  options.signal?.addEventListener("abort", stop, { once: true });
  const passed = { case: one, expected: "", came: "", transcript: [], output: "" };
  try {
    await one.run(trial);
    return { ...passed, outcome: "passed", tookMs: trial.changes.nowMs };
  } catch (error) {
    if (error instanceof CannotStart) throw error;
    const tookMs = trial.changes.nowMs;
    if (error instanceof NotClaimed) return { ...passed, outcome: "skipped", tookMs, came: error.message };
    const { expected, came } = error instanceof Mismatch ? error : faultOfTheCase(error);
    const output = trial.workers.map(({ lastOutput }) => lastOutput).join("\n");
    const transcript = trial.transcript.lines();
    return { case: one, outcome: "failed", tookMs, expected, came, transcript, output };
  } finally {
    options.signal?.removeEventListener("abort", stop);
    await trial.close();
  }
}

/** A case that fails by itself must not pass for a fault of the worker. */
function faultOfTheCase(error: unknown): { expected: string; came: string } {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { expected: "the case to run to its end", came: `the suite itself failed: ${text}` };
}

/** Measures the turns of a scheduler's main loop. */
import { until } from "../waits.ts";
import type { Program } from "./program.ts";

/** For the environment of a scheduler whose turns are measured. */
export const MEASURED_LOOP = {
  NODE_OPTIONS: `--import=${new URL("./loop-monitor.ts", import.meta.url).href}`,
} as const;

/**
 * How often a call is repeated until its longest turn is short enough. What else the machine runs empties caches and takes
 * the garbage collector's threads their processor, which lengthens a turn in processor time too, now and then, and a first call
 * compiles what it runs; what a call computes itself is there every time.
 */
const REPEATS = 20;

/**
 * Calls that hold the scheduler's loop for too long, each with its turns; empty when there is none.
 *
 * @param limitOf The longest turn that a call may have, milliseconds of processor time.
 */
export async function longTurns(
  program: Program,
  calls: Readonly<Record<string, () => Promise<unknown>>>,
  limitOf: (name: string) => number,
): Promise<string[]> {
  const long: string[] = [];
  for (const [name, call] of Object.entries(calls)) {
    const turns: number[] = [];
    do {
      await longestTurn(program);
      await call();
      turns.push(await longestTurn(program));
    } while (turns.length < 2 || (turns.length < REPEATS && Math.min(...turns) >= limitOf(name)));
    if (Math.min(...turns) >= limitOf(name))
      long.push(`${name} held the loop for ${turns.map(Math.round).join(", ")} ms`);
  }
  return long;
}

/** The longest turn of the scheduler's main loop since it was asked last, milliseconds of processor time. */
async function longestTurn(program: Program): Promise<number> {
  const after = program.stdout.length;
  program.kill("SIGWINCH");
  const value = await until("the longest turn", () =>
    /^loop\.longest_turn ([\d.]+)$/m.exec(program.stdout.slice(after))?.at(1),
  );
  return Number(value);
}

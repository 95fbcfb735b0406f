import { within } from "../fleet/fleet.ts";
import type { Program } from "./program.ts";

/** For the environment of a scheduler whose turns are measured. */
export const MEASURED_LOOP = {
  NODE_OPTIONS: `--import=${new URL("./loop-monitor.ts", import.meta.url).href}`,
} as const;

/** The longest turn of the scheduler's main loop since it was asked last, milliseconds of processor time. */
export async function longestTurn(program: Program): Promise<number> {
  const after = program.stdout.length;
  program.kill("SIGWINCH");
  const { value } = await within("the longest turn", 20_000, () =>
    /^loop\.longest_turn ([\d.]+)$/m.exec(program.stdout.slice(after))?.at(1),
  );
  return Number(value);
}

/** Runs a command of the command line to its end. */
import { runTool, type ToolRun } from "../repo/checks.ts";

/**
 * @param scheduler Address of the scheduler that the command asks.
 * @param args The command and its arguments.
 */
export function runMuster(
  scheduler: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv } = {},
): Promise<ToolRun> {
  const program = ["--conditions=muster-source", "cli/src/main.ts"];
  return runTool("node", [...program, ...args, "--scheduler", scheduler], options);
}

/** Runs a command of the command line to its end. */
import { execPath } from "node:process";
import { fileURLToPath } from "node:url";
import { runTool, type ToolRun, toolEnv } from "../repo/checks.ts";
import { bundled } from "./bundled.ts";

/** The file to start for the command line. */
export const MUSTER = bundled(fileURLToPath(new URL("../../../cli/bin/muster.js", import.meta.url)));

/**
 * @param scheduler Address of the scheduler that the command asks.
 * @param args The command and its arguments.
 * @param env Further variables of the command.
 */
export function runMuster(
  scheduler: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ToolRun> {
  return runTool(execPath, [MUSTER, ...args, "--scheduler", scheduler], { env: { ...toolEnv(), ...env } });
}

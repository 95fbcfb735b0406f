import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { bundled } from "./bundled.ts";

const MUSTER = bundled(fileURLToPath(new URL("../../../cli/bin/muster.js", import.meta.url)));

/** How a command of the CLI ended. */
export interface MusterEnd {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command of the CLI against a scheduler to its end, its streams piped. */
export function runMuster(
  scheduler: { readonly grpc: string },
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<MusterEnd> {
  const all = [...process.execArgv.filter((arg) => !arg.startsWith("--test")), MUSTER, ...args];
  const options = { env: { ...process.env, MUSTER_SCHEDULER_ADDR: scheduler.grpc, ...env } };
  return new Promise((resolve) => {
    execFile(process.execPath, all, options, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

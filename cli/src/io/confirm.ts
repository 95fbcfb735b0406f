/** Asks before an unusual action. */
import { CliError } from "../errors.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Io } from "./io.ts";

/** A question before an unusual action. */
export interface Question {
  /** What is unusual, one sentence without a full stop. */
  readonly what: string;
  /** The action, for example `run it again`. */
  readonly action: string;
  /** The command that does it without the question. */
  readonly command: string;
}

/**
 * Asks on a terminal. Without a terminal it refuses and names the command that needs no answer.
 *
 * @throws CliError (refused) unless the answer is yes.
 */
export async function confirm({ what, action, command }: Question, { stdin, stderr }: Io): Promise<void> {
  if (stdin.isTTY !== true || !stderr.isTTY) {
    throw refused(`${what}; nothing was done`, `\`${command}\` does it`);
  }
  stderr.write(`${what}: ${action}? [y/N] `);
  let answer = "";
  for await (const chunk of stdin) {
    answer += String(chunk);
    if (answer.includes("\n")) break;
  }
  if (!/^\s*y(?:es)?\s*$/im.test(answer))
    throw refused("nothing was done", `\`${command}\` does it without a question`);
}

function refused(message: string, remedy: string): CliError {
  return new CliError(message, { exitCode: ExitCode.REFUSED, reason: "NOT_CONFIRMED", remedy });
}

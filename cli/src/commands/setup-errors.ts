/** Errors of @muster/launcher as those of a command. */
import { SetupError } from "@muster/launcher/supervise";
import { CliError } from "../errors.ts";
import { ExitCode } from "../exit-codes.ts";

/** Runs a part of a command. @throws CliError in place of a SetupError. */
export async function withSetupErrors<T>(run: () => T | Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    throw new CliError(error.message, {
      exitCode: error.inUse ? ExitCode.REFUSED : ExitCode.FAILED,
      remedy: error.remedy,
      cause: error,
    });
  }
}

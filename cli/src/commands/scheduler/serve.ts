/** `muster serve`: runs a scheduler in this process. */
import type { Beside, ServingScheduler } from "@muster/scheduler";
import type { Command } from "commander";
import type { Environment } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { wrap } from "../../output/text.ts";

/** Runs the scheduler in this process; resolves with the exit code. */
type Run = (argv: readonly string[]) => Promise<number>;

/** `muster serve`, `muster dev`, `muster migrate`: the scheduler in this process. */
export function addServe(
  program: Command,
  io: Io,
  setExitCode: (code: number) => void,
  version: string,
): void {
  const add = (name: string, summary: string, description: string, help: string, run: Run): void => {
    program
      .command(`${name} [options...]`)
      .summary(summary)
      .description(description)
      .addHelpText("after", help)
      // Every option, --help included, belongs to the scheduler.
      .helpOption(false)
      .allowUnknownOption()
      .passThroughOptions()
      .action(async (argv: string[], _options: unknown, self: Command) => {
        if (argv.includes("--help") || argv.includes("-h")) await writeHelp(self, help, io);
        else setExitCode(await run(argv));
      });
  };
  add(
    "dev",
    "run a scheduler for development with an embedded PostgreSQL",
    "Runs a scheduler for development: with a readable log, and an embedded PostgreSQL unless DATABASE_URL names a server. Pools of the driver `process` start their workers on this machine, and these end with it.",
    DEV_HELP,
    (argv) => {
      io.stderr.write(devHints(argv, io));
      const env = { MUSTER_LOG_FORMAT: "pretty", ...io.env };
      return runScheduler(argv, io, env, (scheduler) => devLauncher(scheduler, io, version));
    },
  );
  add(
    "serve",
    "run a scheduler",
    "Runs a scheduler until SIGTERM or SIGINT. DATABASE_URL names the database; without it an embedded PostgreSQL is started.",
    SERVE_HELP,
    (argv) => runScheduler(argv, io, io.env),
  );
  add(
    "migrate",
    "apply missing database migrations, then exit",
    "Applies the migrations that the database lacks (DATABASE_URL names it), then exits.",
    "\nExamples:\n  $ DATABASE_URL=postgres://localhost/muster muster migrate",
    async (argv) => {
      const { runMigrate } = await import("@muster/scheduler");
      return runMigrate(argv, io.env);
    },
  );
}

const DEV_HELP = `
Examples:
  $ muster dev
  $ DATABASE_URL=postgres://localhost/muster muster dev`;

const SERVE_HELP = `
Examples:
  $ DATABASE_URL=postgres://db.internal/muster muster serve`;

/** The command's description, then the scheduler's settings, which all three commands take. */
async function writeHelp(command: Command, help: string, { stdout }: Io): Promise<void> {
  const { describeSettings } = await import("@muster/scheduler");
  const title = (text: string): string => stdout.colors.bold(text);
  const columns = stdout.isTTY ? stdout.columns : 100;
  stdout.write(
    `${title("Usage:")} muster ${command.name()} [options]\n\n${wrap(command.description(), columns)}\n\n` +
      `${title("Options")} (flag, else variable, else default)${title(":")}\n${describeSettings(columns)}\n`,
  );
  stdout.write(`${help}\n`);
}

async function runScheduler(
  argv: readonly string[],
  io: Io,
  env: Environment,
  startBeside?: (scheduler: ServingScheduler) => Promise<Beside | undefined>,
): Promise<number> {
  // Imported here: other commands need not load the scheduler.
  const scheduler = await import("@muster/scheduler");
  io.ignorePipeErrors();
  return scheduler.runScheduler(argv, env, startBeside);
}

/** A scheduler for development is of use without pools: what keeps its launcher from starting is said, and no more. */
async function devLauncher(
  scheduler: ServingScheduler,
  io: Io,
  version: string,
): Promise<Beside | undefined> {
  const without = (why: string) =>
    io.stderr.write(`${io.stderr.colors.yellow(`pools launch no workers in this session: ${why}`)}\n`);
  if (scheduler.tls) {
    without("the scheduler has a certificate; run `muster launcher --tls-ca FILE` beside it");
    return undefined;
  }
  try {
    const { startDevLauncher } = await import("../../local/dev-launcher.ts");
    return await startDevLauncher(scheduler, io, version);
  } catch (error) {
    without(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

function devHints(argv: readonly string[], { env, stderr }: Io): string {
  const { dim } = stderr.colors;
  const named = env.DATABASE_URL || argv.some((each) => each.startsWith("--database-url"));
  const database = named
    ? "uses the PostgreSQL server that you named"
    : "starts an embedded PostgreSQL and keeps its data for the next start; set DATABASE_URL to use your own server";
  const hints = [
    `muster dev ${database}.`,
    "In another terminal: `muster submit TYPE JSON --wait`, `muster workers`, `muster why ID`. Ctrl-C stops it.",
  ];
  return hints.map((hint) => `${dim(hint)}\n`).join("");
}

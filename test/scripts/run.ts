/** `npm test`: runs the checks and the tests. */
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { argv, env, execPath } from "node:process";
import { fileURLToPath } from "node:url";
import { dropDatabase, TEMPLATE_VARIABLE } from "../support/database/postgres.ts";
import { createTemplate, startServer } from "../support/database/server.ts";
import { BUNDLES_VARIABLE } from "../support/programs/bundled.ts";
import { KEPT_VARIABLE, keptFolder } from "../support/programs/kept-folder.ts";
import { findVersitygw } from "../support/storage/versitygw.ts";
import { findCollector } from "../support/telemetry/collector-program.ts";
import { makeBundles } from "./bundles.ts";
import { makeTemporaryFolder } from "./temporary-folder.ts";
import { filesOf, isolatedTests } from "./test-files.ts";

/** A program that runs the unit tests which share a process. */
const UNIT_TESTS = fileURLToPath(new URL("./unit-tests.ts", import.meta.url));

/** Says at the end where the time went; a URL, as Node wants it. */
const REPORT_TIMES = new URL("./report-times.ts", import.meta.url).href;

/** Compiled code, by content and version of Node; beside what is installed, so that it goes with it. */
const CODE_CACHE = fileURLToPath(new URL("../../node_modules/.cache/node", import.meta.url));

const isOption = (argument: string) => argument.startsWith("--");
/** Of Node's test runner, such as `--test-update-snapshots`. */
const options = argv.slice(2).filter(isOption);
const wanted = argv.slice(2).filter((argument) => !isOption(argument));
const files = wanted.length > 0 ? filesOf(wanted) : [UNIT_TESTS, ...isolatedTests()];
// Before the tests: compiling takes both cores for minutes, and more than a test's time limit.
if (env.CI && files.some((file) => file.endsWith("collector.test.ts"))) findCollector();
if (env.CI && files.some((file) => /\btest\/storage\/|sdk-pages/.test(file))) findVersitygw();
env[KEPT_VARIABLE] = keptFolder();
const folder = makeTemporaryFolder();
env.TMPDIR = folder;
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
// One server for the suite, a database for each test that asks; a server named outside is used as it is.
const server = env.TEST_DATABASE_URL ? undefined : await startServer();
const databaseUrl = env.TEST_DATABASE_URL ?? server?.url ?? "";
const bundles = await makeBundles();
const template = await createTemplate(databaseUrl);
try {
  const child = spawn(
    execPath,
    [
      "--test",
      "--test-timeout=400000",
      // Most of a file's time is waits for leases and timers: this many keep the cores busy. Five are what the server's 200
      // connections are enough for.
      `--test-concurrency=${Math.min(5, 2 * availableParallelism() + 1)}`,
      ...["--test-reporter=spec", "--test-reporter-destination=stdout"],
      ...[`--test-reporter=${REPORT_TIMES}`, "--test-reporter-destination=stdout"],
      ...options,
      ...files,
    ],
    {
      stdio: "inherit",
      env: {
        ...env,
        TEST_DATABASE_URL: databaseUrl,
        [TEMPLATE_VARIABLE]: template,
        [BUNDLES_VARIABLE]: bundles,
        // Most of what the suite computes is programs that start: 0.95 s of a core each without it, 0.56 s with it and
        // without bundles.
        NODE_COMPILE_CACHE: env.NODE_COMPILE_CACHE ?? CODE_CACHE,
      },
    },
  );
  // They end the tests; what is left is removed here.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
  process.exitCode = await new Promise<number>((resolve) => {
    child.once("close", (code) => resolve(code ?? 1));
  });
} finally {
  if (server) await server.remove();
  else await dropDatabase(databaseUrl, template);
}

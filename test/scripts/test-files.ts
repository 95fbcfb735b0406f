/** The files of the suite, and which of them share a process. */
import { globSync } from "node:fs";

/** Unit tests, beside the sources. */
const UNIT_TESTS = [
  "gen/src/**/*.test.ts",
  "packages/*/src/**/*.test.ts",
  "scheduler/src/**/*.test.ts",
  "worker-sdk/src/**/*.test.ts",
  "launcher/src/**/*.test.ts",
  "cli/src/**/*.test.ts",
  "dashboard/src/**/*.test.ts",
  "examples/**/*.test.ts",
  "bench/**/*.test.ts",
];

/** Everything that needs processes and a database. */
const OTHER_TESTS = ["test/**/*.test.ts"];

/** Unit tests that need a process of their own, and why. */
const OWN_PROCESS = [
  // They start programs, and would wait for each other.
  "cli/src/bin*.test.ts",
  "packages/embedded-postgres/**",
  "scheduler/src/telemetry/logs/standard-output.test.ts",
  "worker-sdk/src/logging/*.test.ts",
  // Workers handle the signals and the uncaught errors of their process.
  "worker-sdk/src/*.test.ts",
  "worker-sdk/src/run/*.test.ts",
  // It blocks its main thread.
  "worker-sdk/src/link/health/main-stack.test.ts",
  "examples/**",
  // Node looks for a snapshot beside the file that the process was started with.
  "scheduler/src/domain/explain/prose.test.ts",
];

/** The files that match, without those of installed and compiled code. */
export function filesOf(patterns: readonly string[]): string[] {
  return patterns.flatMap((pattern) =>
    globSync(pattern, { exclude: (path) => path.includes("node_modules") || path.includes("dist") }),
  );
}

/** Unit tests that run in one process: most of the time of each alone is the start of Node and the imports. */
export function sharedUnitTests(): string[] {
  const own = new Set(filesOf(OWN_PROCESS));
  return filesOf(UNIT_TESTS).filter((file) => !own.has(file));
}

/** The other files of the suite; each has a process of its own. */
export function isolatedTests(): string[] {
  const shared = new Set(sharedUnitTests());
  return filesOf([...UNIT_TESTS, ...OTHER_TESTS]).filter((file) => !shared.has(file));
}

/** Runs the unit tests that share a process, each file as a suite of its own. `run.ts` runs the others by themselves. */
import { suite } from "node:test";
import { pathToFileURL } from "node:url";
import { sharedUnitTests } from "./test-files.ts";

/** A unit test takes milliseconds; the longest file takes some seconds. */
const FILE_TIMEOUT_MS = 120_000;

for (const file of sharedUnitTests()) {
  suite(file, { timeout: FILE_TIMEOUT_MS }, async () => {
    await import(pathToFileURL(file).href);
  });
}

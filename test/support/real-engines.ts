/** Which test files are about a real engine: their time is not part of the limit of the suite. */
import { readFileSync } from "node:fs";

/**
 * Engines, each with the path of its test file or what its test files import. With `CI` set a test fetches or builds its engine;
 * without it and the engine, the test is skipped with the reason, which the report at the end of a run repeats.
 */
const ENGINES: ReadonlyMap<string, RegExp> = new Map([
  ["browser", /from "[^"]*\/support\/browser\//],
  ["Docker", /from "[^"]*\/support\/docker\//],
  ["Kubernetes API server", /from "[^"]*\/support\/kubernetes\//],
  ["Go", /^\S*test\/e2e\/(go-worker|grpcurl)\.test\.ts\n/],
  ["Python", /from "[^"]*\/support\/python\//],
]);

/** The engine that a test file is about; undefined for most. */
export function engineOf(file: string): string | undefined {
  const text = `${file}\n${readFileSync(file, "utf8")}`;
  return [...ENGINES].find(([, sign]) => sign.test(text))?.[0];
}

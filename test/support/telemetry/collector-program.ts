/** Builds and finds the OpenTelemetry collector. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { delimiter, join } from "node:path";
import process, { env } from "node:process";
import { keptFolder } from "../programs/kept-folder.ts";

/** A collector's source: only the parts that the configuration names. */
const SOURCE = join(import.meta.dirname, "collector");

/**
 * Finds an OpenTelemetry collector with the contrib distribution's parts. No registry has the program. In CI (the
 * variable `CI` is set) it is compiled with Go from its modules and kept in the temporary folder: 8 minutes of
 * processor time once, because the Prometheus receiver brings 1,600 packages.
 *
 * @returns The program, or why there is none, for the test's `skip`.
 * @throws Error when Go cannot compile it: CI must not pass without this test.
 */
export function findCollector(): { readonly program: string } | string {
  const names = ["otelcol-contrib", "otelcol"];
  const folders = (env.PATH ?? "").split(delimiter);
  const installed = names
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find((path) => existsSync(path));
  const program = installed ?? join(keptFolder(), `muster-otelcol-${sourceHash()}`);
  if (existsSync(program)) return { program };
  if (!env.CI) return `${names.join(" or ")} is not on the PATH (with CI=1 it is compiled with Go)`;
  compile(program);
  return { program };
}

/** The first digits of the hash of all source files, so that a change of a version compiles it anew. */
function sourceHash(): string {
  const hash = createHash("sha256");
  for (const file of readdirSync(SOURCE).sort()) hash.update(readFileSync(join(SOURCE, file)));
  return hash.digest("hex").slice(0, 16);
}

function compile(program: string): void {
  process.stdout.write("Compiling an OpenTelemetry collector for its test; this takes minutes, once.\n");
  const unfinished = `${program}.${process.pid}`;
  // Without the tag, service discovery for a dozen clouds is compiled as well.
  const flags = ["-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-tags=remove_all_sd"];
  execFileSync("go", ["build", ...flags, "-o", unfinished, "."], { cwd: SOURCE, stdio: "inherit" });
  renameSync(unfinished, program);
}

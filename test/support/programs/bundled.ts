/** Finds the bundle of a program that tests start. */
import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { env } from "node:process";
import { fileURLToPath } from "node:url";

/** Environment variable with the folder of the bundles; without it programs start from their own files. */
export const BUNDLES_VARIABLE = "MUSTER_TEST_BUNDLES";

/** Folder of commands within the folder of the bundles. */
export const COMMANDS_FOLDER = "commands";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** Path of a program's bundle within the folder, relative. Stack traces have the name of a TypeScript file in it. */
export function bundleOf(file: string): string {
  const path = relative(ROOT, file);
  return path.endsWith(".js") ? path : `${path}.js`;
}

/**
 * The file to start for a program: its bundle where there is one.
 *
 * @param programEnv Variables of the program. One that imports a file before it starts may do so to change modules: a bundle
 * has others.
 */
export function bundled(file: string, programEnv: Readonly<Record<string, string>> = {}): string {
  const folder = env[BUNDLES_VARIABLE];
  if (!folder || programEnv.NODE_OPTIONS?.includes("--import")) return file;
  const bundle = join(folder, bundleOf(file));
  return existsSync(bundle) ? bundle : file;
}

/** Folders for a `PATH` in which the bundled `muster` is a command; none without bundles. */
export function bundledCommands(): string[] {
  return env[BUNDLES_VARIABLE] ? [join(env[BUNDLES_VARIABLE], COMMANDS_FOLDER)] : [];
}

/** Options of Node for a process that runs a worker's file. */
import { extname } from "node:path";

const TYPESCRIPT: ReadonlySet<string> = new Set([".ts", ".mts", ".cts"]);

/** True for a file in TypeScript. */
export function isTypeScript(file: string): boolean {
  return TYPESCRIPT.has(extname(file));
}

/**
 * Options with which Node imports `preload` before `file`. Node runs TypeScript by itself from 22.18 on; older ones are asked
 * to.
 */
export function nodeOptions(file: string, preload: string): string[] {
  const types =
    isTypeScript(file) && process.features.typescript === false
      ? ["--experimental-strip-types", "--disable-warning=ExperimentalWarning"]
      : [];
  return [...types, "--import", new URL(preload.replace(/\.ts$/, extension), import.meta.url).href];
}

const extension = extname(new URL(import.meta.url).pathname);

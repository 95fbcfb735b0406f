/** Finds syntax errors of a file without running it. */
import { execFile } from "node:child_process";
import { extname, relative } from "node:path";
import { isTypeScript } from "./node-options.ts";

const JAVASCRIPT: ReadonlySet<string> = new Set([".js", ".mjs", ".cjs"]);

/** Parses TypeScript; reports what it finds as Node does. */
const CHECK_TYPESCRIPT = `
const { stripTypeScriptTypes } = require("node:module");
const source = require("node:fs").readFileSync(process.argv[1], "utf8");
try {
  stripTypeScriptTypes(source, { mode: "transform" });
} catch (error) {
  const [, line] = /:(\\d+)\\n/.exec(String(error.stack)) ?? [];
  console.error(process.argv[1] + ":" + (error.startLine ?? line ?? "") + "\\nSyntaxError: " + error.message);
  process.exitCode = 1;
}`;

/** A sentence with the place of the first syntax error; undefined when there is none, or the file is no program. */
export async function syntaxFault(file: string): Promise<string | undefined> {
  const flags = isTypeScript(file)
    ? ["--disable-warning=ExperimentalWarning", "--eval", CHECK_TYPESCRIPT, "--", file]
    : JAVASCRIPT.has(extname(file))
      ? ["--check", file]
      : undefined;
  if (flags === undefined) return undefined;
  return new Promise((resolve) => {
    execFile(process.execPath, flags, (error, _stdout, stderr) => {
      resolve(error === null ? undefined : sentenceOf(file, stderr));
    });
  });
}

function sentenceOf(file: string, stderr: string): string {
  const lines = stderr.split("\n");
  const [, line = ""] = /:(\d+)$/.exec(lines[0] ?? "") ?? [];
  const message =
    lines.find((text) => /^\w*Error\b/.test(text))?.replace(/^\w*Error(?: \[\w+\])?: /, "") ?? lines[0];
  return `${relative(process.cwd(), file)}${line === "" ? "" : `:${line}`}: ${message}`;
}

/** How the process of an isolated handler starts. */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { ISOLATED } from "./in-child.ts";
import type { IsolateSettings } from "./isolate-options.ts";

/** File descriptor of the channel to the guard thread of a child. */
export const GUARD_FD = 4;

/** Share of the memory limit that the JavaScript heap may take. */
const HEAP_SHARE = 0.75;

const MIB = 1024 * 1024;

/**
 * The module that a child imports.
 *
 * @throws Error of one sentence when the program has no entry file.
 */
export function moduleOf({ module }: IsolateSettings): string {
  if (module !== undefined) return module;
  const [, entry] = process.argv;
  try {
    // `node worker` names worker.js.
    if (entry !== undefined) return pathToFileURL(createRequire(entry).resolve(entry)).href;
  } catch {
    // Said below.
  }
  throw new Error(
    "An isolated handler needs the module that makes its worker, and this program has no entry file: " +
      "give isolate: { module: import.meta.filename }.",
  );
}

/**
 * Arguments of Node for a child: its own code imports the module as the worker's program does, with the same options and
 * arguments. A text, so that a bundle needs no further file.
 */
export function nodeArguments(module: string, types: readonly string[], settings: IsolateSettings): string[] {
  const { memoryLimitBytes } = settings;
  const heap =
    memoryLimitBytes === undefined
      ? []
      : [`--max-old-space-size=${Math.floor((memoryLimitBytes * HEAP_SHARE) / MIB)}`];
  // Two processes cannot have one address of a debugger.
  const own = process.execArgv.filter((option, at, all) => !isNotForChild(option, all[at - 1]));
  return [...own, ...heap, "--eval", code(module, types, [...own, ...heap]), ...process.argv.slice(1)];
}

function isNotForChild(option: string, before: string | undefined): boolean {
  if (before === "-e" || before === "--eval" || before === "-p" || before === "--print") return true;
  return /^(--inspect|--watch|--test|--input-type|-e$|--eval|-p$|--print)/.test(option);
}

/** Without `--input-type`: threads that a handler starts would inherit it, and refuse their files. */
function code(module: string, types: readonly string[], execArgv: readonly string[]): string {
  const key = `Symbol.for(${JSON.stringify(Symbol.keyFor(ISOLATED))})`;
  return `
process.execArgv = ${JSON.stringify(execArgv)};
const child = { wanted: ${JSON.stringify(types)}, workers: [], types: [], taken: false };
globalThis[${key}] = child;
const unusable = (fault) => process.send({ muster: { kind: "unusable", fault } }, undefined, undefined, () => process.exit(1));
import(${JSON.stringify(module)}).then(
  () => {
    for (const worker of child.workers) if (!child.taken) worker[${key}]();
    if (!child.taken) unusable({ what: "handler", workers: child.workers.length, types: child.types });
  },
  (error) => {
    if (child.taken) throw error;
    const { message = String(error), stack = "" } = Object(error);
    unusable({ what: "import", message, traceback: stack });
  },
);
`;
}

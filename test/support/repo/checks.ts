/** Runs the project's tools, as the tests of the repository need them. */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { env } from "node:process";
import { fileURLToPath } from "node:url";

/** The repository's root folder. */
export const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

const BIN = join(ROOT, "node_modules", ".bin");
const GENERATED = join("gen", "src", "generated");

/** What a tool said and how it ended. */
export interface ToolRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The environment with the repository's tools first on the path. */
export function toolEnv(): NodeJS.ProcessEnv {
  return { ...env, PATH: `${BIN}${delimiter}${env.PATH ?? ""}`, NODE_TEST_CONTEXT: undefined };
}

/** Runs a tool of the repository (or of the system) to its end; a failure is in the answer's `code`. */
export function runTool(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<ToolRun> {
  const settings = { cwd: ROOT, env: toolEnv(), maxBuffer: 64 * 1024 * 1024, ...options };
  return new Promise((resolve, reject) => {
    execFile(command, args, settings, (error, stdout, stderr) => {
      // Without an exit code it did not run at all, or was killed.
      if (error !== null && typeof error.code !== "number") reject(error);
      else resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
  });
}

/** Whether a program is there: it can be started, and ends with 0. */
export async function hasProgram(command: string, ...args: readonly string[]): Promise<boolean> {
  try {
    return (await runTool(command, args)).code === 0;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
    throw error;
  }
}

/** A check of the repository; `run` throws an Error that holds what the tool said. */
export interface Check {
  readonly name: string;
  run(): Promise<void>;
}

function tool(name: string, command: string, ...args: string[]): Check {
  return {
    name,
    run: async () => {
      const { code, stdout, stderr } = await runTool(command, args);
      if (code !== 0) throw new Error(`${command} ${args.join(" ")} exited with ${code}\n${stdout}${stderr}`);
    },
  };
}

/** What `npm run check` and `npm test` look at; none of it needs a network. */
export const CHECKS: readonly Check[] = [
  tool("lint and format", "biome", "check", "--error-on-warnings", "."),
  tool("types", "tsc", "-p", "tsconfig.check.json"),
  tool("types of the dashboard", "tsc", "-p", "dashboard/tsconfig.json"),
  tool("proto lint", "buf", "lint"),
  tool("proto format", "buf", "format", "--diff", "--exit-code"),
  { name: "proto compatibility with the commit before and the last release", run: compatible },
  { name: "generated code", run: generatedIsCurrent },
  { name: "public API of the worker SDK", run: publicApiIsCurrent },
  { name: "page of every option", run: optionsPageIsCurrent },
  { name: "comments of the worker SDK's exports", run: exportsAreDocumented },
];

/** Trailer of a commit that renames what the protos have. Allowed until 1.0; what is on the wire must stay. */
const RENAME_TRAILER = "Proto-Rename";

/** Tags of releases, for example `v0.2.0`. */
const RELEASE_TAGS = "v[0-9]*";

/** Rules for such a commit: numbers stay. To buf a renamed message is another type, so types are for the reviewer. */
const WIRE_RULES = JSON.stringify({
  version: "v2",
  modules: [{ path: "proto" }, { path: "third_party/googleapis" }],
  breaking: { use: ["WIRE"], except: ["FIELD_WIRE_COMPATIBLE_TYPE"] },
});

async function compatible(): Promise<void> {
  const { code } = await runTool("git", ["rev-parse", "--verify", "--quiet", "HEAD~1^{commit}"]);
  // A first commit, a shallow clone or an archive has nothing to compare with.
  if (code !== 0) return;
  const renames = (range: readonly string[]) =>
    runTool("git", ["log", `--format=%(trailers:key=${RENAME_TRAILER},valueonly)`, ...range]);
  const compare = async (ref: string, range: readonly string[]): Promise<void> => {
    const rules = (await renames(range)).stdout.trim() === "" ? [] : ["--config", WIRE_RULES];
    await tool("", "buf", "breaking", "--against", `.git#ref=${ref}`, ...rules).run();
  };
  await compare("HEAD~1", ["-1"]);
  // What was released must stay, too: many small changes add up to one that breaks.
  const { code: tagged, stdout: tag } = await runTool("git", [
    ...["describe", "--tags", "--abbrev=0", "--match", RELEASE_TAGS, "HEAD~1"],
  ]);
  if (tagged === 0) await compare(tag.trim(), [`${tag.trim()}..HEAD`]);
}

async function publicApiIsCurrent(): Promise<void> {
  // Loaded late: it uses this file's tools.
  const { checkPublicApi } = await import("./public-api.ts");
  await checkPublicApi();
}

async function optionsPageIsCurrent(): Promise<void> {
  const { checkOptionsPage } = await import("./options/options-page.ts");
  await checkOptionsPage();
}

async function exportsAreDocumented(): Promise<void> {
  const { checkDocumented } = await import("./documented.ts");
  await checkDocumented();
}

/** Generates anew into a temporary folder and compares file by file. */
async function generatedIsCurrent(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "muster-generate-"));
  try {
    await tool("", "buf", "generate", "--output", folder).run();
    const [fresh, kept] = await Promise.all([
      contents(join(folder, GENERATED)),
      contents(join(ROOT, GENERATED)),
    ]);
    const names = [...new Set([...fresh.keys(), ...kept.keys()])].sort();
    const stale = names.filter((name) => fresh.get(name) !== kept.get(name));
    if (stale.length > 0)
      throw new Error(`${GENERATED} does not follow from proto/: ${stale.join(", ")}. Run npm run generate.`);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function contents(folder: string): Promise<Map<string, string>> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) =>
    entry.isFile(),
  );
  const read = files.map(async ({ parentPath, name }) => {
    const path = join(parentPath, name);
    return [path.slice(folder.length + 1), await readFile(path, "utf8")] as const;
  });
  return new Map(await Promise.all(read));
}

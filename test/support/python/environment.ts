/** Virtual environments of Python with pinned packages, kept between runs. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { keptFolder } from "../programs/kept-folder.ts";
import { runTool } from "../repo/checks.ts";

/**
 * Path of the interpreter of an environment with the packages of a requirements file.
 *
 * @param options.hashed Every package has to have a hash in the file.
 */
export async function pythonEnvironment(
  requirements: string,
  { hashed = false }: { hashed?: boolean } = {},
): Promise<string> {
  const { stdout: version } = await runTool("python3", ["--version"]);
  const key = createHash("sha256")
    .update(version)
    .update(await readFile(requirements))
    .digest("hex")
    .slice(0, 12);
  const kept = join(keptFolder(), `muster-python-${userInfo().username}-${key}`);
  const done = join(kept, "complete");
  const python = join(kept, "bin", "python");
  if (existsSync(done)) return python;
  // A virtual environment cannot be moved, so what an interrupted run left is made anew in its place.
  await rm(kept, { recursive: true, force: true });
  const hashes = hashed ? ["--require-hashes"] : [];
  for (const [command, ...args] of [
    ["python3", "-m", "venv", kept],
    [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...hashes, "-r", requirements],
  ] as const) {
    const { code, stdout, stderr } = await runTool(command, args);
    assert.equal(code, 0, `${command} ${args.join(" ")}\n${stdout}${stderr}`);
  }
  await mkdir(done);
  return python;
}

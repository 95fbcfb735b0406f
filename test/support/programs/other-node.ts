/** Node of another version than the checkout's, from npm's package of its program for this machine. */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { arch, env, platform } from "node:process";
import { runTool } from "../repo/checks.ts";

/**
 * The path of `node`, kept in the temporary folder, or why it is not there: it is installed (some seconds) when CI is set.
 *
 * @param version For example `22.15.0`.
 */
export async function otherNode(
  version: string,
): Promise<{ readonly path: string } | { readonly missing: string }> {
  const name = `node-${platform === "win32" ? "win" : platform}-${arch}`;
  const folder = join(tmpdir(), `muster-node-${version}`);
  const path = join(folder, "node_modules", name, "bin", "node");
  if (existsSync(path)) return { path };
  if (!env.CI) return { missing: `Node ${version} is not in ${folder} (with CI=1 it is installed)` };
  await mkdir(tmpdir(), { recursive: true });
  const staging = await mkdtemp(join(tmpdir(), "muster-node-"));
  const args = ["install", "--prefix", staging, "--no-save", "--no-audit", "--no-fund", "--prefer-offline"];
  const { code, stdout, stderr } = await runTool("npm", [...args, `${name}@${version}`], { cwd: staging });
  if (code !== 0) throw new Error(`npm install ${name}@${version} exited with ${code}\n${stdout}${stderr}`);
  await rename(staging, folder).catch(async (error: unknown) => {
    await rm(staging, { recursive: true });
    // Another run was faster.
    if (!existsSync(path)) throw error;
  });
  return { path };
}

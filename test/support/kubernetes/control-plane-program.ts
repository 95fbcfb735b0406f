/** The control plane of Kubernetes that tests start: where it is, and how it is compiled. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import process, { env } from "node:process";
import { keptFolder } from "../programs/kept-folder.ts";

/** The program's source and the versions of what it is made of. */
const MODULE = join(import.meta.dirname, "control-plane");

/** The version of Kubernetes, as the API server says it. */
const VERSION = /k8s\.io\/kubernetes (v1\.(\d+)\.\d+)/.exec(readFileSync(join(MODULE, "go.mod"), "utf8"));

/**
 * The API server and the scheduler of Kubernetes with etcd, in one program. No registry has it. In CI (the variable `CI` is set) it
 * is compiled with Go from its modules and kept: 6 minutes of processor time once, 130 MB.
 *
 * @returns The program, or why there is none, for the test's `skip`.
 */
export function findControlPlane(): { readonly program: string } | string {
  const program = programPath();
  if (existsSync(program)) return { program };
  return env.CI
    ? "the control plane of Kubernetes was not compiled: the suite does it when it runs test/kubernetes"
    : "the control plane of Kubernetes is not compiled (with CI=1 it is, with Go)";
}

/** Compiles it when it is not there, with the lowest priority: the suite runs beside it. */
export async function compileControlPlane(): Promise<void> {
  const program = programPath();
  if (existsSync(program)) return;
  process.stdout.write("Compiling a control plane of Kubernetes for its tests; this takes minutes, once.\n");
  const unfinished = `${program}.${process.pid}`;
  const [, version = "", minor = ""] = VERSION ?? [];
  const names = { gitVersion: version, gitMajor: "1", gitMinor: minor };
  const named = Object.entries(names).map(
    ([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`,
  );
  const flags = ["-trimpath", "-buildvcs=false", `-ldflags=-s -w ${named.join(" ")}`];
  const args = ["-n", "19", "go", "build", ...flags, "-o", unfinished, "."];
  const build = spawn("nice", args, { cwd: MODULE, stdio: "inherit" });
  const code = await new Promise<number>((resolve, reject) => {
    build.once("error", reject);
    build.once("close", (ended) => resolve(ended ?? 1));
  });
  if (code !== 0) throw new Error(`go build of the control plane ended with ${code}`);
  renameSync(unfinished, program);
}

function programPath(): string {
  const hash = createHash("sha256");
  for (const file of readdirSync(MODULE).sort()) hash.update(readFileSync(join(MODULE, file)));
  return join(keptFolder(), `muster-kubernetes-${hash.digest("hex").slice(0, 16)}`);
}

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";
import { env } from "node:process";
import { keptFolder } from "../programs/kept-folder.ts";

/** Programs of Debian packages that a test needs. */
export interface DebianPrograms<Name extends string> {
  /** The package that has them; with CI set it is unpacked into a folder of this name. */
  readonly package: string;
  /** Packages that it depends on and a fresh machine lacks; their names differ between releases. */
  readonly libraries?: RegExp;
  readonly programs: readonly Name[];
}

/** Programs that were found. */
export interface FoundPrograms<Name extends string> {
  /** Path by name. */
  readonly paths: Readonly<Record<Name, string>>;
  /** Variables that the programs need to find their libraries. */
  readonly env: Readonly<Record<string, string>>;
}

/** Where Debian puts programs; the second is not on the path of every account. */
const FOLDERS = [
  ["usr", "bin"],
  ["usr", "sbin"],
];

/**
 * Finds programs on the path. In CI (the variable `CI` is set) Debian's packages are downloaded and unpacked into
 * the temporary folder instead of being skipped, and kept for the next run; nothing is installed.
 *
 * @returns The programs, or why there are none, for the test's `skip`.
 * @throws Error when apt cannot download them: CI must not pass without these tests.
 */
export function findPrograms<Name extends string>(
  wanted: DebianPrograms<Name>,
): FoundPrograms<Name> | string {
  const root = join(keptFolder(), `muster-${wanted.package}`);
  const system = [...(env.PATH ?? "").split(delimiter), "/usr/sbin"];
  const installed = among(wanted.programs, system);
  if (installed) return { paths: installed, env: {} };
  const names = wanted.programs.join(" and ");
  if (!env.CI && !existsSync(root))
    return `${names}: not on the PATH (Debian: apt install ${wanted.package})`;
  if (!existsSync(root)) unpack(wanted, root);
  const unpacked = among(
    wanted.programs,
    FOLDERS.map((folder) => join(root, ...folder)),
  );
  if (!unpacked) throw new Error(`Debian's package ${wanted.package} has not ${names} (looked in ${root})`);
  return { paths: unpacked, env: { LD_LIBRARY_PATH: libraries(root).join(delimiter) } };
}

function among<Name extends string>(
  programs: readonly Name[],
  folders: readonly string[],
): Readonly<Record<Name, string>> | undefined {
  const paths: Partial<Record<Name, string>> = {};
  for (const name of programs) {
    const path = folders.map((folder) => join(folder, name)).find((each) => existsSync(each));
    if (path === undefined) return undefined;
    paths[name] = path;
  }
  return paths as Record<Name, string>;
}

/** Folders with libraries, for example `usr/lib/x86_64-linux-gnu`. */
function libraries(root: string): string[] {
  const lib = join(root, "usr", "lib");
  if (!existsSync(lib)) return [];
  return readdirSync(lib)
    .filter((name) => name.includes("-linux-gnu"))
    .map((name) => join(lib, name));
}

function unpack(wanted: Pick<DebianPrograms<string>, "package" | "libraries">, root: string): void {
  const folder = mkdtempSync(`${root}-`);
  const run = (command: string, ...args: string[]) =>
    execFileSync(command, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"], encoding: "utf8" });
  const download = () => {
    const libraries = wanted.libraries
      ? [...run("apt-cache", "depends", wanted.package).matchAll(/^ *Depends: (\S+)$/gm)]
          .map(([, name = ""]) => name)
          .filter((name) => wanted.libraries?.test(name))
      : [];
    run("apt-get", "download", "-q", wanted.package, ...libraries);
  };
  try {
    try {
      download();
    } catch {
      // A fresh image has no package lists.
      run("apt-get", "update", "-q");
      download();
    }
    mkdirSync(join(folder, "root"));
    for (const file of readdirSync(folder).filter((name) => name.endsWith(".deb")))
      run("dpkg-deb", "-x", file, "root");
    if (!existsSync(root)) renameSync(join(folder, "root"), root);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

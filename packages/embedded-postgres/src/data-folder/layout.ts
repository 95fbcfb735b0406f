/** The files of a data folder, and the checks that it belongs to Muster. */
import type { Stats } from "node:fs";
import { statSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { EmbeddedPostgresError, messageOf, systemErrorCode } from "../errors.ts";
import { saysFull } from "./disk-space.ts";

/** The paths inside a data folder. */
export interface Layout {
  dataDir: string;
  /** PostgreSQL's own folder. It appears whole, by a rename, when initdb has succeeded. */
  cluster: string;
  /** The password of the only role, mode 0600. */
  password: string;
  /** Locked by the guardian for as long as it lives. */
  lock: string;
  /** The holder of the lock, for the message of the next start. */
  holder: string;
}

/** The layout of a data folder. */
export function layoutOf(dataDir: string): Layout {
  return {
    dataDir,
    cluster: join(dataDir, "cluster"),
    password: join(dataDir, "password"),
    lock: join(dataDir, "lock"),
    holder: join(dataDir, "holder.json"),
  };
}

/** The prefix of the folders in which initdb works; one that exists at a start is of an interrupted initdb. */
export const initPrefix = "init-";

/** The file in such a folder that gives initdb the password. */
export const initPasswordFile = "password";

const ours =
  /^(cluster|password|password\.new|lock|lock-journal|holder\.json|holder\.json\.new|init-[0-9a-f]{12})$/;

/** Files that an empty folder may hold: a fresh volume has the first, version control and desktops the others. */
const harmless = new Set(["lost+found", ".gitignore", ".gitkeep", ".DS_Store"]);

/** Every file and folder that PostgreSQL 14 to 18 creates at the top of a cluster. */
const clusterEntry =
  /^(PG_VERSION|base|global|pg_[a-z_]+|pg_(hba|ident)\.conf|postgresql(\.auto)?\.conf(\.tmp)?|postmaster\.(pid|opts)|current_logfiles|backup_(label|manifest)(\.old)?|tablespace_map(\.old)?)$/;

/** The contents of a data folder. */
export interface Contents {
  /** True when there is a cluster to start. */
  hasCluster: boolean;
  /** Names of the folders that interrupted initdb runs have left. */
  leftovers: string[];
}

/**
 * Reads the contents of a data folder, and changes nothing.
 *
 * @throws EmbeddedPostgresError `FOREIGN_FILES`, `DAMAGED_CLUSTER`, or `FOLDER_UNUSABLE` when it cannot be read
 */
export async function inspect(layout: Layout): Promise<Contents> {
  const names = (await list(layout.dataDir)) ?? [];
  const clusterNames = (await list(layout.cluster)) ?? [];
  const hasCluster = clusterNames.includes("PG_VERSION");
  if (!hasCluster) {
    refuseBareCluster(layout, names);
    const others = names.filter((name) => !ours.test(name) && !harmless.has(name));
    refuseForeign(layout.dataDir, await withoutDataFolders(layout.dataDir, others));
    refuseForeign(
      layout.cluster,
      clusterNames.filter((name) => !clusterEntry.test(name)),
    );
    if (clusterNames.length > 0) {
      throw new EmbeddedPostgresError(
        "DAMAGED_CLUSTER",
        `The folder ${layout.cluster} holds parts of a PostgreSQL cluster, but not its file PG_VERSION, without ` +
          `which it cannot be started. Nothing was changed. Restore the folder from a backup; or, when its tasks ` +
          `may be lost, move it away, and the next start makes a new one.`,
      );
    }
  }
  const leftovers = names.filter((name) => name.startsWith(initPrefix) && ours.test(name));
  for (const name of leftovers) await refuseForeignLeftover(join(layout.dataDir, name));
  return { hasCluster, leftovers };
}

/** Those that are not data folders of Muster themselves: `.muster/demo` may lie in `.muster`. */
async function withoutDataFolders(folder: string, names: string[]): Promise<string[]> {
  const found = await Promise.all(names.map(async (name) => !(await isDataFolder(join(folder, name)))));
  return names.filter((_, index) => found[index]);
}

async function isDataFolder(path: string): Promise<boolean> {
  if (!(await statOf(path))?.isDirectory()) return false;
  const names = (await list(path)) ?? [];
  return names.includes("lock") && names.every((name) => ours.test(name) || harmless.has(name));
}

async function refuseForeignLeftover(folder: string): Promise<void> {
  const names = (await list(folder)) ?? [];
  refuseForeign(
    folder,
    names.filter((name) => name !== "cluster" && name !== initPasswordFile),
  );
  const inside = (await list(join(folder, "cluster"))) ?? [];
  refuseForeign(
    join(folder, "cluster"),
    inside.filter((name) => !clusterEntry.test(name)),
  );
}

function refuseForeign(folder: string, names: string[]): void {
  if (names.length === 0) return;
  const shown = names.slice(0, 5).join(", ") + (names.length > 5 ? ` and ${names.length - 5} more` : "");
  throw new EmbeddedPostgresError(
    "FOREIGN_FILES",
    `The folder ${folder} holds files that are not Muster's: ${shown}. Nothing was changed. ` +
      `Give a data folder that is empty or does not exist yet, or move these files away.`,
  );
}

function refuseBareCluster(layout: Layout, names: string[]): void {
  if (!names.includes("PG_VERSION")) return;
  throw new EmbeddedPostgresError(
    "FOREIGN_FILES",
    `The folder ${layout.dataDir} is the data folder of another PostgreSQL. Nothing was changed. Give a data ` +
      `folder that is empty or does not exist yet; or start that PostgreSQL and set DATABASE_URL to it.`,
  );
}

/**
 * Compares the cluster's major version with that of the programs.
 *
 * @throws EmbeddedPostgresError `VERSION_MISMATCH`
 */
export async function checkMajorVersion(layout: Layout, major: number, version: string): Promise<void> {
  const found = (await readFile(join(layout.cluster, "PG_VERSION"), "utf8")).trim();
  if (found === String(major)) return;
  throw new EmbeddedPostgresError(
    "VERSION_MISMATCH",
    `The data in ${layout.cluster} was written by PostgreSQL ${found}, and this release of Muster brings ` +
      `PostgreSQL ${version}, which cannot read it. Nothing was changed. Start the release of Muster that wrote it; or dump ` +
      `it there with pg_dump, start this release on another data folder, and restore it with pg_restore.`,
  );
}

/** The names in a folder, or undefined when there is no such folder. */
async function list(folder: string): Promise<string[] | undefined> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw unusable(folder, "read", error);
  }
}

/** The facts of a file or folder, or undefined when it is not there. */
export async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw unusable(path, "look at", error);
  }
}

/**
 * Creates a folder with its missing parents. Every account may enter those that root creates, whatever the umask:
 * PostgreSQL's account has to pass them.
 */
export async function makeFolders(folder: string): Promise<void> {
  if (await statOf(folder)) return;
  await makeFolders(dirname(folder));
  try {
    // Recursive: another start may create it at the same time.
    await mkdir(folder, { recursive: true });
    if (process.getuid?.() === 0) await chmod(folder, 0o755);
  } catch (error) {
    throw unusable(folder, "create", error);
  }
}

/** A failed system call on the data folder, as an error with a remedy. */
export function unusable(path: string, action: string, cause: unknown): EmbeddedPostgresError {
  if (cause instanceof EmbeddedPostgresError) return cause;
  return new EmbeddedPostgresError(
    "FOLDER_UNUSABLE",
    `Cannot ${action} ${path}: ${messageOf(cause)}; ${remedyFor(path, cause)}, or choose another data folder.`,
    { cause },
  );
}

/** What to change at the data folder, by the code of the failed system call. */
function remedyFor(path: string, cause: unknown): string {
  if (saysFull(cause)) return "free some space there";
  switch (systemErrorCode(cause)) {
    case "EACCES":
    case "EPERM":
      return `give the folder to the user who runs the scheduler (${process.getuid ? `uid ${process.getuid()}` : "this user"})`;
    case "ENOTDIR":
    case "EEXIST":
      return `${firstFile(path) ?? "a part of the path"} is a file where a folder is needed: move it away`;
    case "ENOENT":
      return "the folder or a folder above it disappeared, or is a link to a folder that does not exist: create that folder";
    case "EROFS":
      return "the file system is read-only: mount it writable";
    case "ENAMETOOLONG":
      return "use a shorter path";
    case "ELOOP":
      return "its symbolic links form a loop: remove one of them";
    default:
      return "check the folder and its file system";
  }
}

/** The first part of a path, from its root, that is not a folder. */
function firstFile(path: string): string | undefined {
  const above = dirname(path) === path ? undefined : firstFile(dirname(path));
  if (above !== undefined) return above;
  const facts = statSync(path, { throwIfNoEntry: false });
  return facts?.isDirectory() === false ? path : undefined;
}

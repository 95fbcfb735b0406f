/** Chooses the data folder, and the account that PostgreSQL runs as. */
import { createHash } from "node:crypto";
import { chmod, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { EmbeddedPostgresError, systemErrorCode } from "../errors.ts";
import { postgresAccount } from "../system/account.ts";
import { type Account, run } from "../system/run.ts";
import { inspect, layoutOf, makeFolders, statOf, unusable } from "./layout.ts";

/** The data folder in use, and the account that PostgreSQL runs as. */
export interface Placement {
  dataDir: string;
  /** Undefined: the account of this process. */
  account: Account | undefined;
}

/** What {@link place} needs. */
export interface PlacementRequest {
  /** The wanted data folder, absolute. */
  wanted: string;
  /** The folder for data of root that the account cannot reach at the wanted place. */
  stateRoot: string;
  log: (line: string) => void;
  signal: AbortSignal;
}

/**
 * Chooses and creates the data folder.
 *
 * An ordinary user gets the wanted folder. Root cannot run PostgreSQL, and the account that can often cannot enter /root,
 * where a checkout is likely to be: then the data is kept below `stateRoot`, under a name derived from the wanted path, so
 * that every start finds it again. Existing data has priority: it is used at its place and as its owner, or the start
 * fails. A second, empty database is never created beside it.
 *
 * @throws EmbeddedPostgresError `FOLDER_UNREACHABLE`, `FOLDER_UNUSABLE`, `WRONG_OWNER`, `NO_ACCOUNT`
 */
export async function place(request: PlacementRequest): Promise<Placement> {
  const wanted = await resolved(request.wanted);
  if (process.getuid?.() !== 0) {
    await refuseOthersCluster(wanted, request.signal);
    await makeFolder(wanted);
    return { dataDir: wanted, account: undefined };
  }

  const fallback = join(request.stateRoot, nameFor(wanted));
  const dataAtWanted = await clusterOwner(wanted, request.signal);
  const dataAtFallback = dataAtWanted ? undefined : await clusterOwner(fallback, request.signal);
  const account = dataAtWanted ?? dataAtFallback ?? (await postgresAccount(request.log, request.signal));

  const closed = await firstUnreachable(await existingPath(wanted), account, request.signal);
  if (closed !== undefined && dataAtWanted) throw unreachable(wanted, closed, account);
  if (closed === undefined && !dataAtFallback) {
    await makeFolder(wanted);
    return { dataDir: wanted, account };
  }

  request.log(
    closed === undefined
      ? `using the data in ${fallback}, where it is kept since ${wanted} was out of reach of the user ${account.name}`
      : `keeping the data of ${wanted} in ${fallback}: PostgreSQL cannot run as root, and the user ` +
          `${account.name} whom it runs as may not enter ${closed}`,
  );
  await makeFolder(fallback);
  const alsoClosed = await firstUnreachable(await existingPath(fallback), account, request.signal);
  if (alsoClosed !== undefined) throw unreachable(fallback, alsoClosed, account);
  return { dataDir: fallback, account };
}

function unreachable(folder: string, closed: string, account: Account): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    "FOLDER_UNREACHABLE",
    `The data folder ${folder} is out of reach: PostgreSQL cannot run as root, and the user ${account.name} ` +
      `whom it runs as may not enter ${closed}. Allow that ("chmod o+x ${closed}"), or choose another data folder.`,
  );
}

/** The path without symbolic links, as far as it exists: one folder has one name, however it was written. */
async function resolved(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT" || dirname(path) === path) throw unusable(path, "use", error);
    return join(await resolved(dirname(path)), basename(path));
  }
}

/** A readable name that no two folders share. */
function nameFor(path: string): string {
  const readable = path
    .replace(/[^A-Za-z0-9]+/g, "-")
    .replace(/^-|-$/g, "")
    .slice(-40);
  return `${readable}-${createHash("sha256").update(path).digest("hex").slice(0, 12)}`;
}

/** The owner of the cluster in a data folder, when there is one and root is not it. */
async function clusterOwner(dataDir: string, signal: AbortSignal): Promise<Account | undefined> {
  const found = await statOf(layoutOf(dataDir).cluster);
  if (!found || found.uid === 0) return undefined;
  const { code, output } = await run("id", ["-un", String(found.uid)], { timeoutMs: 30_000, signal });
  return { name: code === 0 ? output : `with uid ${found.uid}`, uid: found.uid, gid: found.gid };
}

async function refuseOthersCluster(dataDir: string, signal: AbortSignal): Promise<void> {
  const owner = await clusterOwner(dataDir, signal);
  const me = process.getuid?.();
  if (!owner || owner.uid === me) return;
  throw new EmbeddedPostgresError(
    "WRONG_OWNER",
    `The data in ${dataDir} belongs to the user ${owner.name}, and the scheduler runs as uid ${me}. Start it as ` +
      `the user who started it first (root, when that was "postgres"), or choose another data folder.`,
  );
}

/** The existing folders from the root to the data folder, without the data folder when it belongs to this user. */
async function existingPath(dataDir: string): Promise<string[]> {
  const path: string[] = [];
  for (let folder = dirname(dataDir); ; folder = dirname(folder)) {
    if (await statOf(folder)) path.unshift(folder);
    if (dirname(folder) === folder) break;
  }
  const own = await statOf(dataDir);
  if (own && own.uid !== 0) path.push(dataDir);
  return path;
}

/** Tested as the account, since modes alone do not decide (ACLs, mounts). */
async function firstUnreachable(
  folders: string[],
  account: Account,
  signal: AbortSignal,
): Promise<string | undefined> {
  const script = 'for folder; do cd "$folder" 2>/dev/null || { printf "%s\\n" "$folder"; exit 3; }; done';
  const { code, output } = await run("/bin/sh", ["-c", script, "sh", ...folders], {
    account,
    timeoutMs: 30_000,
    signal,
  });
  if (code === 0) return undefined;
  if (code === 3) return output;
  throw new Error(`Cannot find out which folders the user ${account.name} may enter: ${output}`);
}

/** Creates the data folder; every account may enter one of root, once it is certain that it is Muster's. */
async function makeFolder(dataDir: string): Promise<void> {
  await inspect(layoutOf(dataDir));
  await makeFolders(dataDir);
  const own = await statOf(dataDir);
  if (process.getuid?.() === 0 && own?.uid === 0) await chmod(dataDir, (own.mode & 0o777) | 0o011);
}

/** Brings up an embedded PostgreSQL in the guardian: folder, cluster, server, database. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "pg";
import { withDiskSpace } from "./data-folder/disk-space.ts";
import { checkMajorVersion, inspect, layoutOf } from "./data-folder/layout.ts";
import { type FolderLock, lockFolder } from "./data-folder/lock.ts";
import { readOrMakePassword } from "./data-folder/password.ts";
import { place } from "./data-folder/placement.ts";
import { EmbeddedPostgresError, messageOf, systemErrorCode } from "./errors.ts";
import type { ReadyFacts, StartOrder } from "./messages.ts";
import { findBinaries } from "./server/binaries.ts";
import { type ClusterRequest, createCluster, resetPassword, roleName } from "./server/cluster.ts";
import { clearEarlierPostmaster } from "./server/postmaster.ts";
import { type Server, startServer } from "./server/server.ts";
import type { Exit } from "./system/run.ts";

/** The database that the scheduler uses. */
const databaseName = "muster";

/** A database that accepts connections. */
export interface Database {
  facts: ReadyFacts;
  exited: Promise<Exit>;
  /** Stops the server and releases the data folder. */
  stop(): Promise<void>;
}

/** What {@link bringUp} needs besides the order. */
export interface BringUpContext {
  log: (line: string) => void;
  signal: AbortSignal;
}

/**
 * Starts a database by an order, until it accepts connections. After a failure no process is left and the folder is
 * not locked.
 *
 * @throws EmbeddedPostgresError of every code but those of the scheduler's side, or the signal's reason
 */
export async function bringUp(order: StartOrder, context: BringUpContext): Promise<Database> {
  const { log, signal } = context;
  const { stateRoot } = order;
  let dataDir = order.dataDir;
  try {
    const placed = await place({ wanted: dataDir, stateRoot, log, signal });
    dataDir = placed.dataDir;
    return await bringUpIn(placed, order, context);
  } catch (error) {
    throw signal.aborted ? error : await withDiskSpace(error, dataDir);
  }
}

async function bringUpIn(
  { dataDir, account }: Awaited<ReturnType<typeof place>>,
  order: StartOrder,
  { log, signal }: BringUpContext,
): Promise<Database> {
  const { stateRoot } = order;
  const layout = layoutOf(dataDir);
  const lock = await lockFolder(layout, order.schedulerPid, log, signal);
  try {
    const { hasCluster, leftovers } = await inspect(layout);
    for (const name of leftovers) {
      // Retried: the initdb of a killed guardian may still write into the folder, and fails once it is gone.
      log(`removing ${join(dataDir, name)}, which an interrupted initdb has left`);
      await rm(join(dataDir, name), { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    }
    const binaries = await findBinaries({ account, stateRoot, log, signal });
    if (hasCluster) await checkMajorVersion(layout, binaries.major, binaries.version);
    const password = await readOrMakePassword(layout);
    const request: ClusterRequest = { layout, binaries, account, password: password.value, log, signal };
    if (!hasCluster) {
      await createCluster(request);
    } else if (password.isNew) {
      await clearEarlierPostmaster(layout.cluster, log);
      await resetPassword(request);
    }
    const server = await startServer({
      binaries,
      account,
      cluster: layout.cluster,
      port: order.port,
      log,
      signal,
    });
    try {
      await createDatabase(server, password.value, layout.password);
      signal.throwIfAborted();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return databaseOf(server, lock, password.value, dataDir, binaries.version);
  } catch (error) {
    lock.release();
    throw error;
  }
}

function databaseOf(
  server: Server,
  lock: FolderLock,
  password: string,
  dataDir: string,
  version: string,
): Database {
  const { pid, port } = server;
  const url = `postgres://${roleName}:${password}@127.0.0.1:${port}/${databaseName}`;
  return {
    facts: { url, dataDir, port, version, pid },
    exited: server.exited,
    stop: async () => {
      await server.stop();
      lock.release();
    },
  };
}

/** Checked at each start: a first start may have been interrupted before it. */
async function createDatabase(server: Server, password: string, passwordFile: string): Promise<void> {
  const client = new Client({
    host: "127.0.0.1",
    port: server.port,
    user: roleName,
    password,
    database: "postgres",
    ssl: false,
    connectionTimeoutMillis: 30_000,
    query_timeout: 60_000,
  });
  // A connection that breaks fails the statement under way; without a listener it would end the process.
  client.on("error", () => undefined);
  try {
    await client.connect();
    const found = await client.query("select from pg_database where datname = $1", [databaseName]);
    if (found.rowCount === 0) await client.query(`create database ${databaseName}`);
  } catch (error) {
    if (systemErrorCode(error) === "28P01") throw passwordRejected(passwordFile, error);
    throw new EmbeddedPostgresError(
      "START_FAILED",
      `PostgreSQL started on port ${server.port}, but its database "${databaseName}" could not be prepared: ` +
        `${messageOf(error)}. The data is left as it is.`,
      { cause: error },
    );
  } finally {
    await client.end();
  }
}

function passwordRejected(passwordFile: string, cause: unknown): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    "PASSWORD_REJECTED",
    `The password in ${passwordFile} is not the one of the database beside it. Restore the file; or remove it, ` +
      `and the next start sets a new password.`,
    { cause },
  );
}

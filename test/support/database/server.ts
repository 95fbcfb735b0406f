import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EmbeddedPostgres, migrateDatabase, startEmbeddedPostgres } from "@muster/scheduler";
import { cleanedUp, cleanUpLater } from "../clean-up.ts";
import { createNamed, openTestDatabase, withDatabase } from "./postgres.ts";

/** A PostgreSQL server of a test's own, which it may stop, kill and start again. */
export interface TestServer {
  /** URL of its database `muster`; the port changes with every start unless one was asked for. */
  readonly url: string;
  readonly postgres: EmbeddedPostgres;
  readonly dataDir: string;
  /** Stops the server and removes its data. */
  remove(): Promise<void>;
}

/** Starts an embedded PostgreSQL on an empty folder, or on a kept one. */
export async function startServer(options: { dataDir?: string; port?: number } = {}): Promise<TestServer> {
  const parent = options.dataDir ?? (await mkdtemp(join(tmpdir(), "muster-test-")));
  // PostgreSQL runs as an account of its own when the tests run as root.
  await chmod(parent, 0o711);
  const dataDir = options.dataDir ?? join(parent, "data");
  const postgres = await startEmbeddedPostgres({
    dataDir,
    ...(options.port === undefined ? {} : { port: options.port }),
    log: () => undefined,
    stateRoot: join(parent, "state"),
  });
  const server: TestServer = {
    url: postgres.url,
    postgres,
    dataDir,
    remove: async () => {
      cleanedUp(server);
      await postgres.stop();
      await rm(parent, { recursive: true, force: true });
    },
  };
  cleanUpLater(server, server.remove);
  return server;
}

/**
 * Makes a database with the schema, which `createDatabase` copies: a copy takes a tenth of the time that migrations do.
 *
 * @returns Its name.
 */
export async function createTemplate(admin: string): Promise<string> {
  const name = await createNamed(admin, "template");
  const url = withDatabase(admin, name);
  await migrateDatabase(url);
  const open = openTestDatabase(url);
  // A copy begins its own: with this one's, ids in every copy would begin at a random thousand million.
  await open.query("truncate incarnation");
  await open.close();
  return name;
}

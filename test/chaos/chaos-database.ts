/** The PostgreSQL of a chaos run, with what stands between it and the schedulers, and the faults of it. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { kill } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { findPgBouncer, PgBouncer } from "../support/database/pgbouncer.ts";
import { startServer, type TestServer } from "../support/database/server.ts";
import { SmallDisk } from "../support/database/small-disk.ts";
import { FaultProxy } from "../support/peers/fault-proxy.ts";
import { freePort } from "./free-port.ts";
import type { Fault } from "./schedule.ts";

/** The role of the schedulers, which may lose its login; the harness itself uses the superuser. */
const ROLE = { name: "chaos", password: "chaos" } as const;

/** Size of the disk that holds the data; only what is written takes memory. */
const DISK_MB = 4_096;

/** Faults of the database. */
export type DatabaseFault = Exclude<Fault, { readonly worker: number } | { readonly scheduler: number }>;

/** A PostgreSQL on a small disk, behind a pooler where PgBouncer is installed, behind a proxy that injects errors. */
export class ChaosDatabase {
  #server: TestServer;
  readonly #port: number;
  readonly #disk: SmallDisk | undefined;
  readonly #pooler: PgBouncer | undefined;
  readonly #proxy: FaultProxy;

  private constructor(
    server: TestServer,
    port: number,
    way: { disk: SmallDisk | undefined; pooler: PgBouncer | undefined; proxy: FaultProxy },
  ) {
    this.#server = server;
    this.#port = port;
    this.#disk = way.disk;
    this.#pooler = way.pooler;
    this.#proxy = way.proxy;
  }

  static async start(say: (line: string) => void): Promise<ChaosDatabase> {
    const port = await freePort();
    const mounted = SmallDisk.mount(DISK_MB);
    if (typeof mounted === "string") say(`no disk is filled: ${mounted}`);
    const disk = typeof mounted === "string" ? undefined : mounted;
    const dataDir = disk && join(disk.path, "data");
    if (dataDir) await mkdir(dataDir);
    const server = await startServer({ port, ...(dataDir ? { dataDir } : {}) });
    await prepareRole(server.url);
    const program = findPgBouncer();
    if (typeof program === "string") say(`no pooler is in between: ${program}`);
    const pooler =
      typeof program === "string"
        ? undefined
        : await PgBouncer.start(program, server.url, {
            users: { [ROLE.name]: ROLE.password },
            settings: { server_login_retry: "1", default_pool_size: "60" },
          });
    const proxy = await FaultProxy.start(new URL(pooler?.url ?? server.url).host);
    return new ChaosDatabase(server, port, { disk, pooler, proxy });
  }

  /** The server itself, as the superuser. */
  get url(): string {
    return this.#server.url;
  }

  /** Where the schedulers connect, with their role. */
  get schedulersUrl(): string {
    const url = new URL(this.#server.url);
    url.host = this.#proxy.address;
    url.username = ROLE.name;
    url.password = ROLE.password;
    return url.href;
  }

  /** Does a fault and undoes it. */
  async inject(fault: DatabaseFault): Promise<void> {
    switch (fault.kind) {
      case "postgres_restart":
        await this.#server.postgres.stop();
        return this.#startAgain(fault.downMs);
      case "postgres_kill":
        kill(this.#server.postgres.pid, "SIGKILL");
        await this.#server.postgres.exited;
        await this.#server.postgres.stop();
        return this.#startAgain(fault.downMs);
      case "connections_terminate":
        return this.#terminateConnections();
      case "connections_fatal":
        // Names of the statements that submit, claim, touch and end tasks begin with it.
        return this.#proxy.fatalAt({ code: "XX000", text: "task-", times: fault.times });
      case "role_nologin":
        await this.#asAdmin(
          `alter role ${ROLE.name} nologin`,
          `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${ROLE.name}'`,
        );
        await delay(fault.forMs);
        return this.#asAdmin(`alter role ${ROLE.name} login`);
      case "disk_fill":
        return this.#fillDisk(fault.forMs);
      default:
        throw new TypeError(`unknown fault ${JSON.stringify(fault satisfies never)}`);
    }
  }

  async remove(): Promise<void> {
    await this.#proxy.stop();
    await this.#pooler?.stop();
    this.#disk?.grow();
    if (this.#disk) await this.#server.postgres.stop();
    else await this.#server.remove();
    this.#disk?.unmount();
  }

  async #startAgain(downMs: number): Promise<void> {
    await delay(downMs);
    this.#server = {
      ...(await startServer({ dataDir: this.#server.dataDir, port: this.#port })),
      remove: this.#server.remove,
    };
  }

  /** A full disk may end PostgreSQL, when there is no room for its log; a supervisor would start it again. */
  async #fillDisk(forMs: number): Promise<void> {
    if (!this.#disk) return;
    const { postgres } = this.#server;
    let ended = false;
    void postgres.exited.then(() => {
      ended = true;
    });
    this.#disk.shrink();
    await delay(forMs);
    this.#disk.grow();
    if (!ended) return;
    await postgres.stop();
    await this.#startAgain(0);
  }

  /** Runs statements as the superuser, again and again while PostgreSQL recovers. */
  async #asAdmin(...statements: readonly string[]): Promise<void> {
    for (;;) {
      const client = new pg.Client({ connectionString: this.url });
      client.on("error", () => undefined);
      try {
        await client.connect();
        for (const statement of statements) await client.query(statement);
        return;
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        await delay(200);
      } finally {
        await client.end();
      }
    }
  }

  async #terminateConnections(): Promise<void> {
    const client = new pg.Client({ connectionString: this.url });
    // The database may be away at this very moment; then its connections are gone as well.
    client.on("error", () => undefined);
    try {
      await client.connect();
      await client.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'muster %' and pid <> pg_backend_pid()",
      );
    } catch (error) {
      if (!(error instanceof Error)) throw error;
    } finally {
      await client.end();
    }
  }
}

/** The role owns the database, and migrates it. */
async function prepareRole(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(`create role ${ROLE.name} login password '${ROLE.password}'`);
  await client.query(`alter database ${new URL(url).pathname.slice(1)} owner to ${ROLE.name}`);
  // A checkpoint soon frees the room of the write-ahead log.
  await client.query("alter system set max_wal_size = '256MB'");
  await client.query("select pg_reload_conf()");
  await client.end();
}

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kill } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { findPgBouncer, PgBouncer } from "../support/database/pgbouncer.ts";
import { startServer, type TestServer } from "../support/database/server.ts";
import { SmallDisk } from "../support/database/small-disk.ts";
import { FaultProxy } from "../support/peers/fault-proxy.ts";
import { Program } from "../support/programs/program.ts";
import type { Fault } from "./schedule.ts";

/** Timings of the run. A worker is given up a lease and a grace after its last sign of life. */
export const TIMINGS = { heartbeatMs: 250, leaseMs: 2_500, graceMs: 1_500 } as const;

/** The role of the schedulers, which may lose its login; the harness itself uses the superuser. */
const ROLE = { name: "chaos", password: "chaos" } as const;

/** What the data of a run has room in; only what is written takes memory. */
const DISK_MB = 4_096;

/** Longer than a worker's register timeout: within it a worker is ready, or has ended because it could not register. */
const READY_WITHIN_MS = 180_000;

/** How a worker ends that could not register in time; whoever runs it starts it again. */
const REGISTER_TIMED_OUT = 1;

/** Something that happened to a worker and excuses that its attempts were taken from it. */
export interface Trouble {
  readonly worker: string;
  readonly fromMs: number;
  toMs: number;
}

interface SchedulerSlot {
  readonly port: number;
  readonly address: string;
  program: Program | undefined;
}

interface WorkerSlot {
  readonly id: string;
  readonly proxies: readonly FaultProxy[];
  program: Program | undefined;
}

/** When a scheduler could serve nobody. */
export interface Outage {
  readonly scheduler: number;
  readonly fromMs: number;
  toMs: number;
}

/** Two schedulers, several workers and a PostgreSQL, all real, and what is done to them. */
export class Fleet {
  readonly troubles: Trouble[] = [];
  readonly outages: Outage[] = [];
  readonly historyFile: string;
  /** Programs that ended without having been told to. */
  readonly surprises: string[] = [];
  readonly #folder: string;
  readonly #schedulers: SchedulerSlot[];
  #workers: WorkerSlot[] = [];
  #server: TestServer;
  readonly #postgresPort: number;
  readonly #busy = new Set<string>();
  readonly #everStarted: Program[] = [];
  readonly #disk: SmallDisk | undefined;
  readonly #pooler: PgBouncer | undefined;
  /** Between the schedulers and the pooler, or PostgreSQL where there is none. */
  readonly #databaseProxy: FaultProxy;

  private constructor(
    folder: string,
    server: TestServer,
    postgresPort: number,
    schedulers: SchedulerSlot[],
    way: { disk: SmallDisk | undefined; pooler: PgBouncer | undefined; proxy: FaultProxy },
  ) {
    this.#folder = folder;
    this.#disk = way.disk;
    this.#pooler = way.pooler;
    this.#databaseProxy = way.proxy;
    this.historyFile = join(folder, "history.jsonl");
    this.#server = server;
    this.#postgresPort = postgresPort;
    this.#schedulers = schedulers;
  }

  static async start(size: {
    schedulers: number;
    workers: number;
    say: (line: string) => void;
  }): Promise<Fleet> {
    const folder = await mkdtemp(join(tmpdir(), "muster-chaos-"));
    const port = await freePort();
    const mounted = SmallDisk.mount(DISK_MB);
    if (typeof mounted === "string") size.say(`no disk is filled: ${mounted}`);
    const disk = typeof mounted === "string" ? undefined : mounted;
    const dataDir = disk && join(disk.path, "data");
    if (dataDir) await mkdir(dataDir);
    const server = await startServer({ port, ...(dataDir ? { dataDir } : {}) });
    await prepareRole(server.url);
    const program = findPgBouncer();
    if (typeof program === "string") size.say(`no pooler is in between: ${program}`);
    const pooler =
      typeof program === "string"
        ? undefined
        : await PgBouncer.start(program, server.url, {
            users: { [ROLE.name]: ROLE.password },
            settings: { server_login_retry: "1", default_pool_size: "60" },
          });
    const proxy = await FaultProxy.start(new URL(pooler?.url ?? server.url).host);
    const slots: SchedulerSlot[] = [];
    for (let index = 0; index < size.schedulers; index++) {
      const own = await freePort();
      slots.push({ port: own, address: `127.0.0.1:${own}`, program: undefined });
    }
    const fleet = new Fleet(folder, server, port, slots, { disk, pooler, proxy });
    for (const slot of slots) await fleet.#startScheduler(slot);
    for (let index = 0; index < size.workers; index++) {
      const proxies = await Promise.all(slots.map(({ address }) => FaultProxy.start(address)));
      // Each worker begins with another scheduler, so that both have some.
      const turned = [...proxies.slice(index % proxies.length), ...proxies.slice(0, index % proxies.length)];
      const worker = { id: `worker-${index + 1}`, proxies: turned, program: undefined };
      fleet.#workers.push(worker);
      fleet.#startWorker(worker);
    }
    return fleet;
  }

  get databaseUrl(): string {
    return this.#server.url;
  }

  get schedulerAddresses(): string[] {
    return this.#schedulers.map(({ address }) => address);
  }

  get schedulerPids(): number[] {
    return this.#schedulers.flatMap(({ program }) => program?.pid ?? []);
  }

  get workerCount(): number {
    return this.#workers.length;
  }

  /** Does a fault and undoes it; false when its target has another one. */
  async inject(fault: Fault): Promise<boolean> {
    const target = targetOf(fault);
    if (this.#busy.has(target)) return false;
    this.#busy.add(target);
    try {
      await this.#inject(fault);
    } finally {
      this.#busy.delete(target);
    }
    return true;
  }

  /** Log lines of a level from all schedulers that live now. */
  schedulerLines(level: string): string[] {
    return this.#schedulers.flatMap(
      ({ program }) =>
        program?.lines.filter((line) => line.level === level).map((line) => JSON.stringify(line)) ?? [],
    );
  }

  /** Keeps what every program wrote, for when a run showed something. Returns the folder. */
  async keepLogs(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), "muster-chaos-logs-"));
    await Promise.all(
      this.#everStarted.map((program, index) =>
        writeFile(
          join(folder, `${index}-${program.name.replaceAll(/[^\w-]+/g, "_")}.log`),
          program.stdout + program.stderr,
        ),
      ),
    );
    return folder;
  }

  /** Ends everything in an orderly way; returns how each program ended. */
  async stop(): Promise<Record<string, string>> {
    const ends: Record<string, string> = {};
    const end = async (name: string, program: Program | undefined) => {
      if (!program) return;
      const { code, signal } = await program.end("SIGTERM");
      ends[name] = code === null ? String(signal) : String(code);
    };
    await Promise.all(this.#workers.map(({ id, program }) => end(id, program)));
    await Promise.all(this.#schedulers.map(({ program }, index) => end(`scheduler-${index + 1}`, program)));
    await Promise.all(this.#workers.flatMap(({ proxies }) => proxies.map((proxy) => proxy.stop())));
    return ends;
  }

  /** Leaves nothing behind, however the run went. */
  async remove(): Promise<void> {
    for (const program of this.#everStarted) {
      if (!program.alive) continue;
      program.kill("SIGKILL");
      await program.ended;
    }
    await Promise.all(this.#workers.flatMap(({ proxies }) => proxies.map((proxy) => proxy.stop())));
    await this.#databaseProxy.stop();
    await this.#pooler?.stop();
    this.#disk?.grow();
    if (this.#disk) await this.#server.postgres.stop();
    else await this.#server.remove();
    this.#disk?.unmount();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #inject(fault: Fault): Promise<void> {
    switch (fault.kind) {
      case "worker_kill": {
        const worker = this.#worker(fault.worker);
        const trouble = this.#trouble(worker);
        await worker.program?.end("SIGKILL");
        await delay(fault.downMs);
        await this.#restartWorker(worker);
        trouble.toMs = Date.now();
        return;
      }
      case "worker_stop": {
        const worker = this.#worker(fault.worker);
        const trouble = this.#trouble(worker);
        worker.program?.kill("SIGSTOP");
        await delay(fault.forMs);
        worker.program?.kill("SIGCONT");
        trouble.toMs = Date.now();
        return;
      }
      case "worker_cut":
        for (const proxy of this.#worker(fault.worker).proxies) proxy.cut();
        return;
      case "worker_blackhole": {
        const worker = this.#worker(fault.worker);
        const trouble = this.#trouble(worker);
        for (const proxy of worker.proxies) proxy.freeze();
        await delay(fault.forMs);
        for (const proxy of worker.proxies) proxy.heal();
        trouble.toMs = Date.now();
        return;
      }
      case "scheduler_kill":
        return this.#outage(fault.scheduler, (slot) => this.#cycle(slot, "SIGKILL", fault.downMs));
      case "scheduler_restart":
        return this.#outage(fault.scheduler, (slot) => this.#cycle(slot, "SIGTERM", 0));
      case "scheduler_stop":
        return this.#outage(fault.scheduler, async ({ program }) => {
          program?.kill("SIGSTOP");
          await delay(fault.forMs);
          program?.kill("SIGCONT");
        });
      case "postgres_restart":
        await this.#server.postgres.stop();
        return this.#startPostgres(fault.downMs);
      case "postgres_kill":
        kill(this.#server.postgres.pid, "SIGKILL");
        await this.#server.postgres.exited;
        await this.#server.postgres.stop();
        return this.#startPostgres(fault.downMs);
      case "connections_terminate":
        return this.#terminateConnections();
      case "connections_fatal":
        // Names of the statements that submit, claim, touch and end tasks begin with it.
        return this.#databaseProxy.fatalAt({ code: "XX000", text: "task-", times: fault.times });
      case "role_nologin":
        await this.#asAdmin(
          `alter role ${ROLE.name} nologin`,
          `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${ROLE.name}'`,
        );
        await delay(fault.forMs);
        return this.#asAdmin(`alter role ${ROLE.name} login`);
      case "disk_fill":
        return this.#fillDisk(fault.forMs);
      case "worker_double": {
        const worker = this.#worker(fault.worker);
        const trouble = this.#trouble(worker);
        const first = worker.program;
        this.#startWorker(worker);
        const second = worker.program;
        await delay(fault.forMs);
        await Promise.all([first?.end("SIGTERM"), second?.end("SIGKILL")]);
        await this.#restartWorker(worker);
        trouble.toMs = Date.now();
        return;
      }
      default:
        throw new TypeError(`unknown fault ${JSON.stringify(fault satisfies never)}`);
    }
  }

  async #outage(index: number, fault: (slot: SchedulerSlot) => Promise<void>): Promise<void> {
    const outage = {
      scheduler: index % this.#schedulers.length,
      fromMs: Date.now(),
      toMs: Number.POSITIVE_INFINITY,
    };
    this.outages.push(outage);
    await fault(this.#scheduler(index));
    outage.toMs = Date.now();
  }

  async #cycle(slot: SchedulerSlot, signal: NodeJS.Signals, downMs: number): Promise<void> {
    const old = slot.program;
    slot.program = undefined;
    await old?.end(signal);
    await delay(downMs);
    await this.#startScheduler(slot);
  }

  async #startScheduler(slot: SchedulerSlot): Promise<void> {
    // One that has not started in time, because of the next fault, is started again.
    for (;;) {
      const program = Program.start(
        `scheduler on ${slot.address}`,
        "../../scheduler/bin/muster-scheduler.js",
        {
          base: import.meta.url,
          args: [
            ...["--grpc-addr", slot.address, "--http-addr", "127.0.0.1:0", "--log-format", "json"],
            ...[
              "--heartbeat",
              String(TIMINGS.heartbeatMs / 1_000),
              "--lease",
              String(TIMINGS.leaseMs / 1_000),
            ],
            ...["--reconnect-grace", String(TIMINGS.graceMs / 1_000), "--poll-interval", "0.2"],
          ],
          env: { DATABASE_URL: this.#schedulersUrl },
        },
      );
      slot.program = program;
      this.#everStarted.push(program);
      const started = program.line("scheduler.started").then(
        () => true,
        () => false,
      );
      if (await started) {
        void program.ended.then(({ code, signal }) => {
          if (
            slot.program === program &&
            this.#busy.has("stopping") === false &&
            signal !== "SIGTERM" &&
            code !== 0
          ) {
            this.surprises.push(`${program.name} ended by itself (${code ?? signal}):\n${program.tail()}`);
          }
        });
        return;
      }
      await program.end("SIGKILL");
    }
  }

  get #schedulersUrl(): string {
    const url = new URL(this.#server.url);
    url.host = this.#databaseProxy.address;
    url.username = ROLE.name;
    url.password = ROLE.password;
    return url.href;
  }

  /** A full disk may end PostgreSQL, when there is no room for its log: whoever runs it starts it again. */
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
    await this.#startPostgres(0);
  }

  /** Runs statements as the superuser; PostgreSQL may be recovering. */
  async #asAdmin(...statements: readonly string[]): Promise<void> {
    for (;;) {
      const client = new pg.Client({ connectionString: this.databaseUrl });
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

  #startWorker(worker: WorkerSlot): void {
    worker.program = Program.start(worker.id, "./worker.ts", {
      base: import.meta.url,
      env: {
        MUSTER_SCHEDULER_ADDR: worker.proxies.map(({ address }) => address).join(","),
        WORKER_ID: worker.id,
        HISTORY_FILE: this.historyFile,
        WORKER_DRAIN_TIMEOUT_S: "5",
        WORKER_LOG_LEVEL: "debug",
      },
    });
    this.#everStarted.push(worker.program);
  }

  /** Starts a worker until it is ready. */
  async #restartWorker(worker: WorkerSlot): Promise<void> {
    for (;;) {
      this.#startWorker(worker);
      const { program } = worker;
      const ready = await program
        ?.line("worker.startup.phase", ({ phase }) => phase === "ready", { withinMs: READY_WITHIN_MS })
        .then(
          () => true,
          () => false,
        );
      if (ready || !program) return;
      if (program.alive) {
        this.surprises.push(
          `${worker.id} was not ready within ${READY_WITHIN_MS / 1_000} s:\n${program.tail()}`,
        );
        return;
      }
      const { code, signal } = await program.ended;
      if (code === REGISTER_TIMED_OUT) continue;
      this.surprises.push(`${worker.id} ended before it was ready (${code ?? signal}):\n${program.tail()}`);
      return;
    }
  }

  async #startPostgres(downMs: number): Promise<void> {
    await delay(downMs);
    this.#server = {
      ...(await startServer({ dataDir: this.#server.dataDir, port: this.#postgresPort })),
      remove: this.#server.remove,
    };
  }

  async #terminateConnections(): Promise<void> {
    const client = new pg.Client({ connectionString: this.databaseUrl });
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

  #trouble(worker: WorkerSlot): Trouble {
    const trouble = { worker: worker.id, fromMs: Date.now(), toMs: Number.POSITIVE_INFINITY };
    this.troubles.push(trouble);
    return trouble;
  }

  #worker(index: number): WorkerSlot {
    const worker = this.#workers[index % this.#workers.length];
    if (!worker) throw new RangeError(`no worker ${index}`);
    return worker;
  }

  #scheduler(index: number): SchedulerSlot {
    const scheduler = this.#schedulers[index % this.#schedulers.length];
    if (!scheduler) throw new RangeError(`no scheduler ${index}`);
    return scheduler;
  }
}

/** The role owns the database, and migrates it. */
async function prepareRole(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(`create role ${ROLE.name} login password '${ROLE.password}'`);
  await client.query(`alter database ${new URL(url).pathname.slice(1)} owner to ${ROLE.name}`);
  // A checkpoint soon gives its log's room back.
  await client.query("alter system set max_wal_size = '256MB'");
  await client.query("select pg_reload_conf()");
  await client.end();
}

function targetOf(fault: Fault): string {
  if ("worker" in fault) return `worker ${fault.worker}`;
  if ("scheduler" in fault) return `scheduler ${fault.scheduler}`;
  return "postgres";
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

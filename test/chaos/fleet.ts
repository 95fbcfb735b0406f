/** All processes of a chaos run: one place that injects faults into them, ends them and keeps their logs. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LogLine, Program } from "../support/programs/program.ts";
import { ChaosDatabase } from "./chaos-database.ts";
import { ChaosSchedulers, type Outage } from "./chaos-schedulers.ts";
import { ChaosWorkers, type Trouble } from "./chaos-workers.ts";
import type { Fault } from "./schedule.ts";

/** Schedulers, workers and a PostgreSQL, all real. */
export class Fleet {
  readonly historyFile: string;
  readonly #folder: string;
  readonly #database: ChaosDatabase;
  readonly #schedulers: ChaosSchedulers;
  readonly #workers: ChaosWorkers;
  /** Targets of the faults that are under way. */
  readonly #busy = new Set<string>();

  private constructor(
    folder: string,
    parts: { database: ChaosDatabase; schedulers: ChaosSchedulers; workers: ChaosWorkers },
    historyFile: string,
  ) {
    this.#folder = folder;
    this.#database = parts.database;
    this.#schedulers = parts.schedulers;
    this.#workers = parts.workers;
    this.historyFile = historyFile;
  }

  static async start(size: {
    schedulers: number;
    workers: number;
    say: (line: string) => void;
  }): Promise<Fleet> {
    const folder = await mkdtemp(join(tmpdir(), "muster-chaos-"));
    const historyFile = join(folder, "history.jsonl");
    const database = await ChaosDatabase.start(size.say);
    const schedulers = await ChaosSchedulers.start(size.schedulers, () => database.schedulersUrl);
    const workers = await ChaosWorkers.start(size.workers, schedulers.addresses, historyFile);
    return new Fleet(folder, { database, schedulers, workers }, historyFile);
  }

  get databaseUrl(): string {
    return this.#database.url;
  }

  get schedulerAddresses(): string[] {
    return this.#schedulers.addresses;
  }

  get schedulerPids(): number[] {
    return this.#schedulers.pids;
  }

  get workerCount(): number {
    return this.#workers.count;
  }

  get troubles(): readonly Trouble[] {
    return this.#workers.troubles;
  }

  get killedPids(): ReadonlyMap<number, number> {
    return this.#workers.killedPids;
  }

  get outages(): readonly Outage[] {
    return this.#schedulers.outages;
  }

  /** What ended, or did not start, for no fault of the run. */
  get surprises(): readonly string[] {
    return [...this.#schedulers.surprises, ...this.#workers.surprises];
  }

  /** Does a fault and undoes it; false when its target has another one. */
  async inject(fault: Fault): Promise<boolean> {
    const target = targetOf(fault);
    if (this.#busy.has(target)) return false;
    this.#busy.add(target);
    try {
      if ("worker" in fault) await this.#workers.inject(fault);
      else if ("scheduler" in fault) await this.#schedulers.inject(fault);
      else await this.#database.inject(fault);
    } finally {
      this.#busy.delete(target);
    }
    return true;
  }

  /** Log lines of a level from all schedulers that run now. */
  schedulerLines(level: string): string[] {
    return this.#schedulers.lines(level);
  }

  /** What schedulers logged of an event, those that have ended among them. */
  schedulersLogged(event: string): LogLine[] {
    return this.#schedulers.logged(event);
  }

  /** Keeps what every program wrote, for a run with violations. Returns the folder. */
  async keepLogs(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), "muster-chaos-logs-"));
    await Promise.all(
      this.#started.map((program, index) =>
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
    const workers = await this.#workers.stop();
    const schedulers = await this.#schedulers.stop();
    await this.#workers.stopProxies();
    return { ...workers, ...schedulers };
  }

  /** Leaves nothing behind, however the run went. */
  async remove(): Promise<void> {
    for (const program of this.#started) {
      if (!program.alive) continue;
      program.kill("SIGKILL");
      await program.ended;
    }
    await this.#workers.stopProxies();
    await this.#database.remove();
    await rm(this.#folder, { recursive: true, force: true });
  }

  get #started(): Program[] {
    return [...this.#schedulers.started, ...this.#workers.started];
  }
}

function targetOf(fault: Fault): string {
  if ("worker" in fault) return `worker ${fault.worker}`;
  if ("scheduler" in fault) return `scheduler ${fault.scheduler}`;
  return "postgres";
}

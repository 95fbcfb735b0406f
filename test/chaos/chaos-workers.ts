/** The workers of a chaos run, each behind a proxy for every scheduler, and the faults of them. */
import { rm, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { FaultProxy } from "../support/peers/fault-proxy.ts";
import { Program } from "../support/programs/program.ts";
import type { Fault } from "./schedule.ts";
import { sickFile } from "./sick-file.ts";

/** Longer than a worker's register timeout: within it a worker is ready, or has ended because it could not register. */
const READY_WITHIN_MS = 180_000;

/** Exit code of a worker that could not register in time; a supervisor starts it again. */
const REGISTER_TIMED_OUT = 1;

/** Faults of one worker. */
export type WorkerFault = Extract<Fault, { readonly worker: number }>;

/** A fault of a worker, which excuses that its attempts were taken from it. */
export interface Trouble {
  readonly worker: string;
  readonly fromMs: number;
  toMs: number;
}

interface WorkerSlot {
  readonly id: string;
  readonly proxies: readonly FaultProxy[];
  program: Program | undefined;
}

/** Worker processes that are started again whenever they end. */
export class ChaosWorkers {
  readonly troubles: Trouble[] = [];
  /** Every process that was started. */
  readonly started: Program[] = [];
  /** When a fault killed a process, by its id; milliseconds of the wall clock. */
  readonly killedPids = new Map<number, number>();
  /** Workers that did not become ready. */
  readonly surprises: string[] = [];
  readonly #slots: WorkerSlot[] = [];
  readonly #historyFile: string;

  private constructor(historyFile: string) {
    this.#historyFile = historyFile;
  }

  static async start(
    count: number,
    schedulers: readonly string[],
    historyFile: string,
  ): Promise<ChaosWorkers> {
    const workers = new ChaosWorkers(historyFile);
    for (let index = 0; index < count; index++) {
      const proxies = await Promise.all(schedulers.map((address) => FaultProxy.start(address)));
      // Each worker begins with another scheduler, so that each scheduler has some.
      const turned = [...proxies.slice(index % proxies.length), ...proxies.slice(0, index % proxies.length)];
      const slot = { id: `worker-${index + 1}`, proxies: turned, program: undefined };
      workers.#slots.push(slot);
      workers.#start(slot);
    }
    return workers;
  }

  get count(): number {
    return this.#slots.length;
  }

  /** Does a fault and undoes it. */
  async inject(fault: WorkerFault): Promise<void> {
    const slot = this.#slots[fault.worker % this.#slots.length];
    if (!slot) throw new RangeError(`no worker ${fault.worker}`);
    if (fault.kind === "worker_cut") {
      for (const proxy of slot.proxies) proxy.cut();
      return;
    }
    const trouble = { worker: slot.id, fromMs: Date.now(), toMs: Number.POSITIVE_INFINITY };
    this.troubles.push(trouble);
    await this.#inject(fault, slot);
    trouble.toMs = Date.now();
  }

  /** Ends all of them in an orderly way; how each ended, by its id. */
  async stop(): Promise<Record<string, string>> {
    const ends = await Promise.all(
      this.#slots.map(async ({ id, program }) => {
        if (!program) return [];
        const { code, signal } = await program.end("SIGTERM");
        return [[id, code === null ? String(signal) : String(code)] as const];
      }),
    );
    return Object.fromEntries(ends.flat());
  }

  async stopProxies(): Promise<void> {
    await Promise.all(this.#slots.flatMap(({ proxies }) => proxies.map((proxy) => proxy.stop())));
  }

  async #inject(fault: Exclude<WorkerFault, { kind: "worker_cut" }>, slot: WorkerSlot): Promise<void> {
    switch (fault.kind) {
      case "worker_kill":
        await this.#kill(slot.program);
        await delay(fault.downMs);
        return this.#startUntilReady(slot);
      case "worker_stop": {
        const { program } = slot;
        program?.kill("SIGSTOP");
        await delay(fault.forMs);
        program?.kill("SIGCONT");
        return;
      }
      case "worker_blackhole":
        for (const proxy of slot.proxies) proxy.freeze();
        await delay(fault.forMs);
        for (const proxy of slot.proxies) proxy.heal();
        return;
      case "worker_sick": {
        const file = sickFile(this.#historyFile, slot.id);
        await writeFile(file, "");
        await delay(fault.forMs);
        await rm(file);
        return;
      }
      case "worker_double": {
        const first = slot.program;
        const second = this.#start(slot);
        await delay(fault.forMs);
        await Promise.all([first?.end("SIGTERM"), this.#kill(second)]);
        return this.#startUntilReady(slot);
      }
      default:
        throw new TypeError(`unknown fault ${JSON.stringify(fault satisfies never)}`);
    }
  }

  async #kill(program: Program | undefined): Promise<void> {
    if (!program) return;
    this.killedPids.set(program.pid, Date.now());
    await program.end("SIGKILL");
  }

  #start(slot: WorkerSlot): Program {
    const program = Program.start(slot.id, "./worker.ts", {
      base: import.meta.url,
      env: {
        MUSTER_SCHEDULER_ADDR: slot.proxies.map(({ address }) => address).join(","),
        WORKER_ID: slot.id,
        HISTORY_FILE: this.#historyFile,
        WORKER_DRAIN_TIMEOUT_S: "5",
        WORKER_LOG_LEVEL: "debug",
      },
    });
    slot.program = program;
    this.started.push(program);
    return program;
  }

  async #startUntilReady(slot: WorkerSlot): Promise<void> {
    for (;;) {
      const program = this.#start(slot);
      const ready = await program
        .line("worker.startup.phase", ({ phase }) => phase === "ready", { withinMs: READY_WITHIN_MS })
        .then(
          () => true,
          () => false,
        );
      if (ready) return;
      if (program.alive) {
        this.surprises.push(
          `${slot.id} was not ready within ${READY_WITHIN_MS / 1_000} s:\n${program.tail()}`,
        );
        return;
      }
      const { code, signal } = await program.ended;
      // One whose connection's thread cannot be ended kills itself, and logs that it does.
      if (code === REGISTER_TIMED_OUT || program.lines.some(({ event }) => event === "worker.killed"))
        continue;
      this.surprises.push(`${slot.id} ended before it was ready (${code ?? signal}):\n${program.tail()}`);
      return;
    }
  }
}

/** The schedulers of a chaos run and the faults of them. */
import { setTimeout as delay } from "node:timers/promises";
import { type LogLine, Program } from "../support/programs/program.ts";
import { freePort } from "./free-port.ts";
import type { Fault } from "./schedule.ts";
import { TIMINGS } from "./timings.ts";

/** Faults of one scheduler. */
export type SchedulerFault = Extract<Fault, { readonly scheduler: number }>;

/** When a scheduler could serve no call. */
export interface Outage {
  readonly scheduler: number;
  readonly fromMs: number;
  toMs: number;
}

interface SchedulerSlot {
  readonly address: string;
  program: Program | undefined;
}

/** Scheduler processes on addresses that they keep. */
export class ChaosSchedulers {
  readonly outages: Outage[] = [];
  /** Every process that was started. */
  readonly started: Program[] = [];
  /** Schedulers that ended by themselves. */
  readonly surprises: string[] = [];
  readonly #slots: SchedulerSlot[];
  readonly #databaseUrl: () => string;

  private constructor(slots: SchedulerSlot[], databaseUrl: () => string) {
    this.#slots = slots;
    this.#databaseUrl = databaseUrl;
  }

  static async start(count: number, databaseUrl: () => string): Promise<ChaosSchedulers> {
    const slots: SchedulerSlot[] = [];
    for (let index = 0; index < count; index++)
      slots.push({ address: `127.0.0.1:${await freePort()}`, program: undefined });
    const schedulers = new ChaosSchedulers(slots, databaseUrl);
    for (const slot of slots) await schedulers.#start(slot);
    return schedulers;
  }

  get addresses(): string[] {
    return this.#slots.map(({ address }) => address);
  }

  get pids(): number[] {
    return this.#slots.flatMap(({ program }) => program?.pid ?? []);
  }

  /** Log lines of a level from all schedulers that run now. */
  lines(level: string): string[] {
    return this.#slots.flatMap(
      ({ program }) =>
        program?.lines.filter((line) => line.level === level).map((line) => JSON.stringify(line)) ?? [],
    );
  }

  /** What the schedulers of the run logged of an event. */
  logged(event: string): LogLine[] {
    return this.started.flatMap(({ lines }) => lines.filter((line) => line.event === event));
  }

  /** Does a fault and undoes it. */
  async inject(fault: SchedulerFault): Promise<void> {
    const index = fault.scheduler % this.#slots.length;
    const slot = this.#slots[index];
    if (!slot) throw new RangeError(`no scheduler ${fault.scheduler}`);
    const outage = { scheduler: index, fromMs: Date.now(), toMs: Number.POSITIVE_INFINITY };
    this.outages.push(outage);
    await this.#inject(fault, slot);
    outage.toMs = Date.now();
  }

  /** Ends all of them in an orderly way; how each ended, by its name. */
  async stop(): Promise<Record<string, string>> {
    const ends = await Promise.all(
      this.#slots.map(async ({ program }, index) => {
        if (!program) return [];
        const { code, signal } = await program.end("SIGTERM");
        return [[`scheduler-${index + 1}`, code === null ? String(signal) : String(code)] as const];
      }),
    );
    return Object.fromEntries(ends.flat());
  }

  async #inject(fault: SchedulerFault, slot: SchedulerSlot): Promise<void> {
    switch (fault.kind) {
      case "scheduler_kill":
        return this.#cycle(slot, "SIGKILL", fault.downMs);
      case "scheduler_restart":
        return this.#cycle(slot, "SIGTERM", 0);
      case "scheduler_stop": {
        const { program } = slot;
        program?.kill("SIGSTOP");
        await delay(fault.forMs);
        program?.kill("SIGCONT");
        return;
      }
      default:
        throw new TypeError(`unknown fault ${JSON.stringify(fault satisfies never)}`);
    }
  }

  async #cycle(slot: SchedulerSlot, signal: NodeJS.Signals, downMs: number): Promise<void> {
    const old = slot.program;
    slot.program = undefined;
    await old?.end(signal);
    await delay(downMs);
    await this.#start(slot);
  }

  async #start(slot: SchedulerSlot): Promise<void> {
    // One that has not started in time, because of the next fault, is started again.
    for (;;) {
      const program = this.#run(slot);
      slot.program = program;
      this.started.push(program);
      const hasStarted = await program.line("scheduler.started").then(
        () => true,
        () => false,
      );
      if (hasStarted) {
        void program.ended.then(({ code, signal }) => {
          if (slot.program === program && signal !== "SIGTERM" && code !== 0)
            this.surprises.push(`${program.name} ended by itself (${code ?? signal}):\n${program.tail()}`);
        });
        return;
      }
      await program.end("SIGKILL");
    }
  }

  #run({ address }: SchedulerSlot): Program {
    const seconds = (ms: number) => String(ms / 1_000);
    return Program.start(`scheduler on ${address}`, "../../scheduler/bin/muster-scheduler.js", {
      base: import.meta.url,
      args: [
        ...["--grpc-addr", address, "--http-addr", "127.0.0.1:0", "--log-format", "json"],
        ...["--heartbeat", seconds(TIMINGS.heartbeatMs), "--lease", seconds(TIMINGS.leaseMs)],
        ...["--reconnect-grace", seconds(TIMINGS.graceMs), "--poll-interval", "0.2"],
        ...["--quarantine-after", "8", "--quarantine-window", "5", "--quarantine-probe", "0.3"],
      ],
      env: { DATABASE_URL: this.#databaseUrl() },
    });
  }
}

import { Child } from "../lab/child.ts";
import type { Cleanup } from "../lab/cleanup.ts";
import { PROBE, Probed } from "../measured/probed.ts";
import { emptyTotals, type FleetTotals, type SimulatedOptions } from "./simulated-worker.ts";
import type { OpenInput } from "./streams-process.ts";

/** Workers that one process simulates: its own heap and its one core must not be what is measured. */
const PER_PROCESS = 1_250;

/** Simulated workers, spread over few processes. */
export class Streams {
  readonly #cleanup: Cleanup;
  readonly #name: string;
  readonly #processes: { readonly probed: Probed; count: number }[] = [];

  constructor(cleanup: Cleanup, name: string) {
    this.#cleanup = cleanup;
    this.#name = name;
  }

  /** Opens `count` more; all are registered when this returns. */
  async open(count: number, options: Omit<SimulatedOptions, "workerId">): Promise<void> {
    let left = count;
    while (left > 0) {
      const last = this.#processes.at(-1);
      const process = last && last.count < PER_PROCESS ? last : this.#start();
      const some = Math.min(left, PER_PROCESS - process.count);
      const workerId = `${this.#name}-${this.#processes.length}`;
      const input: OpenInput = { count: some, options: { ...options, workerId } };
      await process.probed.command("open", { ...input });
      process.count += some;
      left -= some;
    }
  }

  /** Totals of all of them. */
  async totals(): Promise<FleetTotals> {
    const sum = emptyTotals();
    for (const { probed } of this.#processes) {
      const part = await probed.command<FleetTotals>("totals");
      for (const name of ADDED) sum[name] += part[name];
      for (const name of LARGEST) sum[name] = Math.max(sum[name], part[name]);
      sum.lastError ||= part.lastError;
    }
    return sum;
  }

  /** Forgets the extremes so far. */
  async mark(): Promise<void> {
    for (const { probed } of this.#processes) await probed.command("mark");
  }

  /** Sends the signal to all processes at once. */
  signal(name: NodeJS.Signals): void {
    for (const { probed } of this.#processes) probed.child.kill(name);
  }

  /** Ends all processes; their sockets are closed by the kernel. */
  async kill(): Promise<void> {
    this.signal("SIGCONT");
    this.signal("SIGKILL");
    await Promise.all(this.#processes.splice(0).map(({ probed }) => probed.child.ended));
  }

  #start(): { readonly probed: Probed; count: number } {
    const child = new Child(this.#cleanup, {
      name: `${this.#name}-${this.#processes.length}`,
      program: "fleet/streams-process.ts",
      execArgv: [...PROBE],
    });
    const process = { probed: new Probed(child), count: 0 };
    this.#processes.push(process);
    return process;
  }
}

const ADDED = [
  "ready",
  "welcomes",
  "drops",
  "failedDials",
  "heartbeats",
  "acks",
  "held",
  "revoked",
  "ended",
] as const;
const LARGEST = ["slowestAckMs", "lastReadyAt"] as const;

/** A process that simulates workers, driven over IPC. */
import { serveCommands } from "../measured/serve-commands.ts";
import { emptyTotals, type SimulatedOptions, SimulatedWorker } from "./simulated-worker.ts";

/** Dials under way at once: a fleet that starts, not an attack on the listen queue. */
const DIALS_AT_ONCE = 50;

/** Input of `open`: `count` workers alike, named after `options.workerId` and a number. */
export interface OpenInput {
  readonly count: number;
  readonly options: SimulatedOptions;
}

// A process that is many workers.
const workers: SimulatedWorker[] = [];
const totals = emptyTotals();

serveCommands<OpenInput>({
  /** Answers when all are registered. */
  open: async ({ count, options }) => {
    const end = workers.length + count;
    const lane = async () => {
      while (workers.length < end) {
        const workerId = `${options.workerId}-${workers.length}`;
        const worker = new SimulatedWorker({ ...options, workerId }, totals);
        workers.push(worker);
        await worker.start();
      }
    };
    await Promise.all(Array.from({ length: DIALS_AT_ONCE }, lane));
    return totals;
  },
  totals: () => totals,
  /** Forgets the extremes so far. */
  mark: () => {
    totals.slowestAckMs = 0;
    return totals;
  },
});

/** A process with SDK workers, driven over IPC. */
import { monotonicMs } from "../lab/monotonic.ts";
import { serveCommands } from "../measured/serve-commands.ts";

/** What a handler does with its task. */
export type HandlerKind = "noop" | "phases" | "progress";

/** Input of `open`. */
export interface OpenWorkersInput {
  readonly workers: number;
  readonly address: string;
  readonly types: readonly string[];
  readonly concurrency: number;
  readonly prefetch: number;
  readonly handler: HandlerKind;
}

/** Input of `reset`. */
export interface ResetInput {
  /** Handlers after which the clock is read again; without it only the first start is timed. */
  readonly expected?: number;
  /** True: times every start. */
  readonly gaps?: boolean;
}

/** Handlers that began in this process since the last `reset`, on the clock of `monotonicMs`. */
export interface HandledTasks {
  readonly count: number;
  readonly firstAt: number;
  readonly lastAt: number;
  /** Between one handler's start and the next one's, milliseconds; only when `gaps` was asked for. */
  readonly gapsMs: readonly number[];
}

// A process with one or more real SDK workers. The SDK is loaded with the first one, so that what the process
// uses before is the control for what it uses after.

let count = 0;
let firstAt = 0;
let lastAt = 0;
let expected = Number.POSITIVE_INFINITY;
let gaps: number[] | undefined;

function note(): void {
  count++;
  if (gaps === undefined && count > 1 && count < expected) return;
  const now = monotonicMs();
  if (count === 1) firstAt = now;
  else gaps?.push(now - lastAt);
  lastAt = now;
}

const HANDLERS = {
  noop: () => note(),
  phases: async (ctx: Phased) => {
    note();
    await ctx.phase("model_load", () => undefined);
    await ctx.phase("inference", () => undefined);
  },
  progress: (ctx: Progressing) => {
    note();
    for (let done = 1; done <= 3; done++) ctx.progress({ done, total: 3 }, "step");
  },
};

interface Phased {
  phase<T>(name: string, run: () => T): Promise<T>;
}

interface Progressing {
  progress(at: { done: number; total: number }, message: string): void;
}

serveCommands<OpenWorkersInput & ResetInput>({
  open: async (input) => {
    const { Worker } = await import("@muster/worker");
    const { startOtel } = await import("@muster/worker/otel");
    await startOtel();
    for (let index = 0; index < input.workers; index++) {
      const worker = new Worker({
        scheduler: input.address,
        concurrency: input.concurrency,
        prefetch: input.prefetch,
        tasks: Object.fromEntries(input.types.map((type) => [type, HANDLERS[input.handler]])),
      });
      await worker.start();
    }
  },
  reset: (input) => {
    count = 0;
    expected = input.expected ?? Number.POSITIVE_INFINITY;
    gaps = input.gaps ? [] : undefined;
  },
  handled: (): HandledTasks => ({ count, firstAt, lastAt, gapsMs: gaps ?? [] }),
});

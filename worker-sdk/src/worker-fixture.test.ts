import { RawScheduler, type RawStream } from "../../test/support/peers/raw-scheduler.ts";
import { Worker, type WorkerOptions } from "./index.ts";

/** A worker that has registered with a raw scheduler, or with the one given. */
export async function connected(
  options: Partial<WorkerOptions> & Pick<WorkerOptions, "tasks">,
  scheduler?: RawScheduler,
  prepare?: (worker: Worker) => void,
) {
  const server = scheduler ?? (await RawScheduler.start());
  const worker = new Worker({
    scheduler: server.address,
    registerTimeoutS: 10,
    drainTimeoutS: 5,
    ...options,
  });
  prepare?.(worker);
  await worker.start().catch((error) => {
    server.stop();
    throw error;
  });
  const stream = await server.stream();
  return {
    server,
    worker,
    stream,
    async [Symbol.asyncDispose]() {
      await worker.stop({ timeoutS: 0 });
      server.stop();
    },
  };
}

/** The outcome of an attempt, once its result arrives. */
export async function outcomeOf(stream: RawStream, attemptId: string) {
  const isIts = (result: { readonly attemptId: string }) => result.attemptId === attemptId;
  const { results } = await stream.next("taskResults", (value) => value.results.some(isIts));
  return results.find(isIts)?.outcome;
}

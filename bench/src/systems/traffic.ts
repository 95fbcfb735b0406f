import { monotonicMs } from "../lab/monotonic.ts";
import { type Driver, makePayload } from "./driver.ts";

/** Outcome of single submits: how many, how long it took and each call's time, milliseconds. */
export interface Traffic {
  readonly count: number;
  readonly ms: number;
  readonly latenciesMs: readonly number[];
}

/** Shortest wait that timers keep well; between two, several tasks are sent. */
const TICK_MS = 1;

/**
 * Submits single tasks at an even rate. Each carries the moment at which it was due, so that a producer that
 * falls behind shows as latency instead of being left out.
 */
export async function submitAtRate(
  driver: Driver,
  { count, perSecond, payloadBytes }: { count: number; perSecond: number; payloadBytes: number },
): Promise<Traffic> {
  const startedAt = monotonicMs();
  const latenciesMs: number[] = [];
  const calls: Promise<void>[] = [];
  for (let sent = 0; sent < count; ) {
    const due = Math.min(count, Math.floor(((monotonicMs() - startedAt) * perSecond) / 1_000) + 1);
    for (; sent < due; sent++) {
      const at = startedAt + (sent * 1_000) / perSecond;
      calls.push(
        driver.submitOne(makePayload(payloadBytes, at)).then(() => void latenciesMs.push(monotonicMs() - at)),
      );
    }
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  await Promise.all(calls);
  return { count, ms: monotonicMs() - startedAt, latenciesMs };
}

/** Callers that each submit a task, wait for the answer and submit the next. */
export async function submitFromCallers(
  driver: Driver,
  { callers, forMs, payloadBytes }: { callers: number; forMs: number; payloadBytes: number },
): Promise<Traffic> {
  const latenciesMs: number[] = [];
  const startedAt = monotonicMs();
  const payload = makePayload(payloadBytes);
  const caller = async () => {
    for (let at = monotonicMs(); at - startedAt < forMs; ) {
      await driver.submitOne(payload);
      const now = monotonicMs();
      latenciesMs.push(now - at);
      at = now;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return { count: latenciesMs.length, ms: monotonicMs() - startedAt, latenciesMs };
}

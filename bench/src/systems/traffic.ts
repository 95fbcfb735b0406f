/** Submits tasks at a rate and counts what becomes of them. */
import { setTimeout as delay } from "node:timers/promises";
import { monotonicMs } from "../lab/monotonic.ts";
import { makePayload, type Payload, type Producer } from "./driver.ts";

/** Outcome of submits: how many tasks, how long it took and each call's time, milliseconds. */
export interface Traffic {
  readonly count: number;
  readonly ms: number;
  readonly latenciesMs: readonly number[];
}

/** Submits at an even rate. */
export interface RatedTraffic {
  readonly count: number;
  readonly perSecond: number;
  readonly payloadBytes: number;
  readonly clock: "call" | "due";
}

/** Shortest wait that timers keep well; tasks that become due in between are sent in one call. */
const TICK_MS = 1;

/** Submits as fast as the bulk interface takes. */
export async function submitBulk(
  producer: Producer,
  { count, payloadBytes }: { count: number; payloadBytes: number },
): Promise<Traffic> {
  const payload = makePayload(payloadBytes);
  const { batch, lanes } = producer.bulk;
  const startedAt = monotonicMs();
  let left = count;
  const lane = async () => {
    while (left > 0) {
      const size = Math.min(batch, left);
      left -= size;
      await producer.submitMany(Array.from({ length: size }, () => payload));
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return { count, ms: monotonicMs() - startedAt, latenciesMs: [] };
}

/**
 * Submits at an even rate. Each task carries the moment of its call or, when `clock` is `due`, the moment at
 * which it was due, so that a producer that falls behind shows as latency instead of being left out.
 */
export async function submitAtRate(
  producer: Producer,
  { count, perSecond, payloadBytes, clock }: RatedTraffic,
): Promise<Traffic> {
  const startedAt = monotonicMs();
  const latenciesMs: number[] = [];
  const calls: Promise<void>[] = [];
  const call = async (payloads: readonly Payload[]) => {
    const [first] = payloads;
    if (first === undefined) return;
    await (payloads.length === 1 ? producer.submitOne(first) : producer.submitMany(payloads));
    latenciesMs.push(monotonicMs() - first.at);
  };
  for (let sent = 0; sent < count; ) {
    const due = Math.min(count, Math.floor(((monotonicMs() - startedAt) * perSecond) / 1_000) + 1);
    const payloads: Payload[] = [];
    for (; sent < due; sent++) {
      const at = clock === "due" ? startedAt + (sent * 1_000) / perSecond : monotonicMs();
      payloads.push(makePayload(payloadBytes, at));
    }
    calls.push(call(payloads));
    await delay(TICK_MS);
  }
  await Promise.all(calls);
  return { count, ms: monotonicMs() - startedAt, latenciesMs };
}

/** Callers that each submit a task, wait for the answer and submit the next. */
export async function submitFromCallers(
  producer: Producer,
  { callers, forMs, payloadBytes }: { callers: number; forMs: number; payloadBytes: number },
): Promise<Traffic> {
  const latenciesMs: number[] = [];
  const payload = makePayload(payloadBytes);
  const startedAt = monotonicMs();
  const caller = async () => {
    for (let at = startedAt; at - startedAt < forMs; ) {
      await producer.submitOne(payload);
      const now = monotonicMs();
      latenciesMs.push(now - at);
      at = now;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return { count: latenciesMs.length, ms: monotonicMs() - startedAt, latenciesMs };
}

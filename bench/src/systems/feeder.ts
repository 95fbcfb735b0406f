/** Keeps enough tasks waiting that no worker is short of them. */
import { setTimeout as delay } from "node:timers/promises";
import { monotonicMs } from "../lab/monotonic.ts";
import type { Deployment } from "./deployment.ts";

/** Tasks kept waiting, so that no worker is ever short of them; a third of a second at 60,000 tasks/s. */
const DEPTH = 20_000;
const QUICK_DEPTH = 500;

/** How often it is looked whether more are needed. */
const LOOK_EVERY_MS = 20;

/** Bulk submits at once. */
const SUBMITS = 2;

/** What was handled in a window. */
export interface Window {
  /** Since the first task was seen to be handled, milliseconds. */
  readonly endMs: number;
  readonly count: number;
  readonly perSecond: number;
}

/**
 * Keeps the queue of running workers fed for some windows of time, which begin when work flows, then lets it run dry.
 *
 * @returns What was handled in each window, and how many tasks were submitted in all.
 */
export async function feed(
  deployment: Deployment,
  options: {
    readonly windows: number;
    readonly windowMs: number;
    readonly payloadBytes: number;
    readonly quick: boolean;
  },
): Promise<{ windows: readonly Window[]; submitted: number }> {
  const { producer, workers } = deployment;
  const depth = options.quick ? QUICK_DEPTH : DEPTH;
  const slice = depth / 4;
  const failures: unknown[] = [];
  const underWay = new Set<Promise<void>>();
  const handledSoFar = async () => {
    const handled = await Promise.all(workers.map((worker) => worker.handled()));
    return handled.reduce((sum, { count }) => sum + count, 0);
  };
  const base = await handledSoFar();
  const windows: Window[] = [];
  let submitted = 0;
  let startedAt: number | undefined;
  let windowAt = 0;
  let windowCount = 0;
  while (windows.length < options.windows) {
    const count = (await handledSoFar()) - base;
    const now = monotonicMs();
    if (startedAt === undefined) {
      if (count > 0) {
        startedAt = windowAt = now;
        windowCount = count;
      }
    } else if (now >= startedAt + (windows.length + 1) * options.windowMs) {
      const inWindow = count - windowCount;
      windows.push({
        endMs: now - startedAt,
        count: inWindow,
        perSecond: (inWindow * 1_000) / (now - windowAt),
      });
      windowAt = now;
      windowCount = count;
    }
    while (submitted - count < depth && underWay.size < SUBMITS) {
      submitted += slice;
      const call = producer
        .submit(slice, options.payloadBytes)
        .then(
          () => undefined,
          (error: unknown) => void failures.push(error),
        )
        .finally(() => underWay.delete(call));
      underWay.add(call);
    }
    if (failures.length > 0) throw failures[0];
    await delay(LOOK_EVERY_MS);
  }
  await Promise.all(underWay);
  if (failures.length > 0) throw failures[0];
  while ((await handledSoFar()) - base < submitted) await delay(LOOK_EVERY_MS);
  while (await deployment.pending()) await delay(LOOK_EVERY_MS);
  return { windows, submitted };
}

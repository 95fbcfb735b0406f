/** Makes the parts that may hold a task back, and the admission that asks them. */
import type { Clock } from "../../clock.ts";
import type { TaskClass } from "../../domain/matching/match.ts";
import type { WaitingTask } from "../../store/store.ts";
import type { ClassWindows } from "../matching/class-windows.ts";
import { Admission } from "./admission.ts";
import { ConcurrencyKeys } from "./concurrency-keys.ts";
import { PausedQueues } from "./paused-queues.ts";
import { RateLimits } from "./rate-limits.ts";
import type { AdmissionRule } from "./rule.ts";
import { StrictOrders } from "./strict-orders.ts";

/** What may hold a task back although a worker is eligible. */
export interface AdmissionParts {
  readonly admission: Admission;
  readonly concurrencyKeys: ConcurrencyKeys;
  readonly pausedQueues: PausedQueues;
  readonly rateLimits: RateLimits;
  readonly strictOrders: StrictOrders;
}

/**
 * @param parts.rules Further rules.
 * @param parts.onWaitEnded Called with a class that a concurrency key or an order held back and now may not.
 * @param parts.enqueueFirst Puts a task that goes first for a key into the window of its class.
 * @param parts.pump Called when tasks that were held back may start.
 */
export function createAdmission(parts: {
  readonly clock: Clock;
  readonly windows: Pick<ClassWindows, "unpark">;
  readonly frontOf: (classId: number) => number | undefined;
  readonly rules: readonly AdmissionRule[] | undefined;
  readonly onWaitEnded: (taskClass: TaskClass) => void;
  readonly enqueueFirst: (task: WaitingTask) => void;
  readonly pump: () => void;
}): AdmissionParts {
  const { clock, frontOf, onWaitEnded, pump } = parts;
  const unpark = (classIds: Iterable<number>) => parts.windows.unpark(classIds);
  const pausedQueues = new PausedQueues();
  const concurrencyKeys = new ConcurrencyKeys(onWaitEnded, unpark);
  const strictOrders = new StrictOrders({ unpark, frontOf, onWaitEnded, enqueue: parts.enqueueFirst });
  const rateLimits = new RateLimits({ clock, unpark, onDue: pump });
  const admission = new Admission(
    [pausedQueues, concurrencyKeys, strictOrders, rateLimits, ...(parts.rules ?? [])],
    { clock, onFreed: pump },
  );
  return { admission, concurrencyKeys, pausedQueues, rateLimits, strictOrders };
}

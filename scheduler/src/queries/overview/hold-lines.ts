/** Lines of the overview for circuits that are not closed, rate limit keys that are paused, and pools that launch no more. */
import type { PoolController } from "../../dispatch/pools/pool-controller.ts";
import { formatAttemptId } from "../../domain/ids.ts";
import { type Circuit, countsOf } from "../../domain/tasks/limits/circuit.ts";
import type { CircuitStore, RateLimitStore } from "../../store/store.ts";

/** What keeps tasks from being assigned, as a line. */
export interface HoldOverview {
  readonly key: string;
  readonly kind: "circuit_open" | "circuit_half_open" | "key_paused" | "pool_suspended" | "pool_at_max";
  /** When it began, milliseconds since the epoch, by the database's clock. */
  readonly since: number;
  /** Undefined where it is not known. */
  readonly ageMs: number | undefined;
  /** Until it lets a task start by itself; undefined when it does now, or when an operator has to end it. */
  readonly leftMs: number | undefined;
  readonly problem: string;
}

/** The statements that read them. */
export type HoldStore = Pick<CircuitStore, "circuitTotals" | "listCircuits"> &
  Pick<RateLimitStore, "keyPauses">;

/** Those of the longest standing first, at most `limit`, and the count of all. */
export async function readHolds(
  store: HoldStore,
  pools: Pick<PoolController, "any" | "plan">,
  limit: number,
): Promise<{ readonly count: number; readonly lines: readonly HoldOverview[] }> {
  const [totals, circuits, paused, suspended] = await Promise.all([
    store.circuitTotals(),
    store.listCircuits({ notClosed: true, limit }),
    store.keyPauses(limit),
    poolLines(pools),
  ]);
  const lines = [
    ...suspended,
    ...circuits.map(({ circuit, readAt }) => circuitLine(circuit, readAt)),
    ...paused.pauses.map(
      ({ key, until, leftMs, time, reason, by }): HoldOverview => ({
        ...{ key, kind: "key_paused", leftMs },
        since: time.getTime(),
        ageMs: until.getTime() - leftMs - time.getTime(),
        problem: by === undefined ? reason : `${by}: ${reason}`,
      }),
    ),
  ];
  return {
    count: totals.open + totals.halfOpen + paused.count + suspended.length,
    lines: lines.toSorted((a, b) => a.since - b.since).slice(0, limit),
  };
}

/** Pools that launch nothing although more workers would have work. Without pools it sends no statement. */
async function poolLines(pools: Pick<PoolController, "any" | "plan">): Promise<HoldOverview[]> {
  if (!pools.any) return [];
  const { pools: planned, nowMs } = await pools.plan();
  return [...planned.values()].flatMap(({ known: { pool }, decision }): HoldOverview[] => {
    const { now } = pool.memory.guard;
    const { name } = pool.spec;
    if (now.state !== "closed") {
      const leftMs = now.state === "open" ? Math.max(0, now.probeMs - nowMs) : undefined;
      const problem = `${now.failed} of ${now.starts} starts failed, ${now.causeCount} with ${now.cause}`;
      return [
        {
          ...{ key: name, kind: "pool_suspended", leftMs, problem },
          ...{ since: now.sinceMs, ageMs: nowMs - now.sinceMs },
        },
      ];
    }
    const limit = decision.limits.find(({ code }) => code === "POOL_AT_MAX");
    if (!limit) return [];
    const problem = `${limit.text}, ${decision.desired.forWork} would run all waiting tasks at once`;
    return [{ key: name, kind: "pool_at_max", since: nowMs, ageMs: undefined, leftMs: undefined, problem }];
  });
}

/** @param now When it was read, milliseconds since the epoch. */
function circuitLine(circuit: Circuit, now: number): HoldOverview {
  const { key, state, since: stateSince, notClosedSince: since = stateSince, probeAt, openReason } = circuit;
  const isOpen = state === "open";
  return {
    key,
    kind: isOpen ? "circuit_open" : "circuit_half_open",
    since,
    ageMs: now - since,
    leftMs: isOpen && probeAt !== undefined ? Math.max(0, probeAt - now) : undefined,
    problem: openReason === undefined ? failuresOf(circuit) : `by an operator: ${openReason}`,
  };
}

function failuresOf(circuit: Circuit): string {
  const { succeeded, failed } = countsOf(circuit, circuit.since);
  const [last] = circuit.failures;
  const latest = last ? `, last ${last.code} of ${formatAttemptId(last)}` : "";
  return `${failed} of ${succeeded + failed} failed${latest}`;
}

/** Lines of the overview for circuits that are not closed and for rate limit keys that are paused. */
import { formatAttemptId } from "../../domain/ids.ts";
import { type Circuit, countsOf } from "../../domain/tasks/limits/circuit.ts";
import type { CircuitStore, RateLimitStore } from "../../store/store.ts";

/** What keeps tasks from being assigned, as a line. */
export interface HoldOverview {
  readonly key: string;
  readonly kind: "circuit_open" | "circuit_half_open" | "key_paused";
  /** When it began, milliseconds since the epoch, by the database's clock. */
  readonly since: number;
  readonly ageMs: number;
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
  limit: number,
): Promise<{ readonly count: number; readonly lines: readonly HoldOverview[] }> {
  const [totals, circuits, paused] = await Promise.all([
    store.circuitTotals(),
    store.listCircuits({ notClosed: true, limit }),
    store.keyPauses(limit),
  ]);
  const lines = [
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
    count: totals.open + totals.halfOpen + paused.count,
    lines: lines.toSorted((a, b) => a.since - b.since).slice(0, limit),
  };
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

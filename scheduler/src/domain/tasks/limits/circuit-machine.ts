/** The only code that changes a circuit: counts results, opens it, lets probes through, and closes it. */
import { nextState, type StateMachine } from "../../state-machine.ts";
import {
  type Circuit,
  type CircuitCounts,
  type CircuitFailure,
  type CircuitRule,
  type CircuitState,
  countsOf,
  DEFAULT_CIRCUIT_RULE,
  MAX_FAILURES,
} from "./circuit.ts";

export type CircuitTransition = "open" | "reopen" | "openByOperator" | "halfOpen" | "close" | "reset";

export const CIRCUIT_MACHINE: StateMachine<CircuitState, CircuitTransition> = {
  name: "circuit",
  initial: "closed",
  transitions: {
    open: { closed: "open" },
    reopen: { half_open: "open" },
    openByOperator: { closed: "open", open: "open", half_open: "open" },
    halfOpen: { open: "half_open" },
    close: { half_open: "closed" },
    reset: { closed: "closed", open: "closed", half_open: "closed" },
  },
};

/** A circuit after a transition. */
export interface CircuitChange {
  readonly circuit: Circuit;
  readonly transition: CircuitTransition;
}

/** A result as a circuit counts it. */
export type CircuitResult = {
  readonly rule: CircuitRule;
  /** When its attempt was assigned: only attempts from after the opening are probes. */
  readonly assignedAt: number;
  /** Whether it may open the circuit; undefined when it may. */
  readonly mode?: "observe" | "off";
} & (
  | { readonly outcome: "succeeded" }
  | { readonly outcome: "failed"; readonly failure: Omit<CircuitFailure, "at"> }
);

/** A circuit after results were counted. */
export interface Counted {
  readonly circuit: Circuit;
  readonly transition: CircuitTransition | undefined;
  /** It would have opened, had the mode of the last result been `act`. */
  readonly wouldOpen?: true;
}

/** Parts of the window that results are counted in: one leaves it at most this share of the window too late. */
const PARTS = 10;

/** With alternating rules there may be more parts; then the last one takes what follows. */
const MAX_PARTS = 60;

/** Longest message that is kept of a failure. */
const MAX_MESSAGE = 200;

/** Circuits that opened at one moment probe at different ones: an opening lasts up to this share longer. */
const JITTER = 0.1;

export function newCircuit(key: string, now: number): Circuit {
  return {
    key,
    state: CIRCUIT_MACHINE.initial,
    since: now,
    rule: undefined,
    counts: [],
    failures: [],
    openedAt: undefined,
    notClosedSince: undefined,
    probeAt: undefined,
    openCount: 0,
    probesSucceeded: 0,
    openReason: undefined,
  };
}

/**
 * Counts results of tasks with the circuit.
 *
 * @param random A number in [0, 1), for the jitter.
 * @returns The circuit, with the transition that the results caused; undefined when they caused none.
 */
export function countResults(
  circuit: Circuit,
  results: readonly CircuitResult[],
  now: number,
  random: number,
): Counted {
  switch (circuit.state) {
    case "closed":
      return countClosed(circuit, results, now, random);
    case "half_open":
      return countProbes(circuit, results, now, random);
    case "open":
      return { circuit, transition: undefined };
    default:
      return unreachable(circuit.state);
  }
}

/** Lets probes through when their time has come; undefined before it, and when the circuit is not open. */
export function halfOpen(circuit: Circuit, now: number): CircuitChange | undefined {
  const { state, probeAt } = circuit;
  if (state !== "open" || probeAt === undefined || probeAt > now) return undefined;
  return changed(circuit, "halfOpen", now, { probeAt: undefined, probesSucceeded: 0 });
}

/** @param forMs Then it becomes half-open; undefined for an opening that only a reset ends. */
export function openByOperator(
  circuit: Circuit,
  reason: string,
  forMs: number | undefined,
  now: number,
): CircuitChange {
  return changed(circuit, "openByOperator", now, {
    openedAt: now,
    notClosedSince: circuit.notClosedSince ?? now,
    probeAt: forMs === undefined ? undefined : now + forMs,
    openCount: Math.max(1, circuit.openCount),
    probesSucceeded: 0,
    openReason: reason,
  });
}

/** Closes the circuit and forgets what it has counted. */
export function reset(circuit: Circuit, now: number): CircuitChange {
  return changed(circuit, "reset", now, { ...CLOSED, failures: [] });
}

/** What a circuit that closes forgets. */
const CLOSED: Partial<Circuit> = {
  counts: [],
  notClosedSince: undefined,
  probeAt: undefined,
  openCount: 0,
  probesSucceeded: 0,
  openReason: undefined,
};

function changed(
  circuit: Circuit,
  transition: CircuitTransition,
  now: number,
  facts: Partial<Omit<Circuit, "state" | "since">>,
): CircuitChange {
  const state = nextState(CIRCUIT_MACHINE, circuit.state, transition, ({ key }) => key, circuit);
  return { circuit: { ...circuit, ...facts, state, since: now }, transition };
}

function countClosed(
  circuit: Circuit,
  results: readonly CircuitResult[],
  now: number,
  random: number,
): Counted {
  const rule = results.at(-1)?.rule ?? circuit.rule;
  if (!rule) return { circuit, transition: undefined };
  const counted: Circuit = {
    ...circuit,
    rule,
    counts: added(circuit.counts, results, rule.windowMs, now),
    failures: withFailures(circuit.failures, results, now),
  };
  const { succeeded, failed } = countsOf(counted, now);
  const samples = succeeded + failed;
  if (samples < rule.minSamples || failed / samples < rule.failureRate)
    return { circuit: counted, transition: undefined };
  const mode = results.at(-1)?.mode;
  if (mode) return withheld(counted, rule, mode, now, random);
  return changed(counted, "open", now, { ...opened(rule, 1, now, random), notClosedSince: now });
}

/** Leaves the circuit closed. It would open again after the time for which it would be open now. */
function withheld(
  circuit: Circuit,
  rule: CircuitRule,
  mode: "observe" | "off",
  now: number,
  random: number,
): Counted {
  const { until = 0, count = 0 } = circuit.wouldBeOpen ?? {};
  if (mode === "off" || now < until) return { circuit, transition: undefined };
  // Closed for a whole window after it: its next opening would be a first one.
  const openCount = now < until + rule.windowMs ? count + 1 : 1;
  const wouldBeOpen = { until: now + openForMs(rule, openCount, random), count: openCount };
  return { circuit: { ...circuit, wouldBeOpen }, transition: undefined, wouldOpen: true };
}

/** One failed probe opens the circuit again; as many successes as there are probes close it. */
function countProbes(
  circuit: Circuit,
  results: readonly CircuitResult[],
  now: number,
  random: number,
): Counted {
  const probes = results.filter(({ assignedAt }) => assignedAt > (circuit.openedAt ?? 0));
  const rule = circuit.rule ?? { key: circuit.key, ...DEFAULT_CIRCUIT_RULE };
  const failed = probes.findLast(({ outcome }) => outcome === "failed");
  if (failed?.mode)
    return {
      circuit: { ...circuit, failures: withFailures(circuit.failures, probes, now), probesSucceeded: 0 },
      transition: undefined,
      ...(failed.mode === "observe" ? { wouldOpen: true } : {}),
    };
  if (failed)
    return changed(circuit, "reopen", now, {
      ...opened(rule, circuit.openCount + 1, now, random),
      failures: withFailures(circuit.failures, probes, now),
    });
  const probesSucceeded = circuit.probesSucceeded + probes.length;
  if (probesSucceeded < rule.probes)
    return { circuit: { ...circuit, probesSucceeded }, transition: undefined };
  return changed(circuit, "close", now, CLOSED);
}

function opened(rule: CircuitRule, openCount: number, now: number, random: number): Partial<Circuit> {
  return {
    openedAt: now,
    probeAt: now + openForMs(rule, openCount, random),
    openCount,
    probesSucceeded: 0,
    openReason: undefined,
  };
}

/** How long the circuit stays open, milliseconds: twice as long with each opening in a row. */
export function openForMs(rule: CircuitRule, openCount: number, random: number): number {
  const doubled = rule.openForMs * 2 ** Math.min(openCount - 1, 30);
  return Math.round(Math.min(doubled, rule.maxOpenForMs) * (1 + JITTER * random));
}

/** The counts without those that have left the window, with the results in its newest part. */
function added(
  counts: readonly CircuitCounts[],
  results: readonly CircuitResult[],
  windowMs: number,
  now: number,
): CircuitCounts[] {
  const kept = counts.filter(([startMs]) => startMs > now - windowMs);
  const failed = results.filter(({ outcome }) => outcome === "failed").length;
  const succeeded = results.length - failed;
  const last = kept.at(-1);
  const isCurrent = last && (kept.length >= MAX_PARTS || now - last[0] < windowMs / PARTS);
  if (!last || !isCurrent) return [...kept, [now, succeeded, failed]];
  return [...kept.slice(0, -1), [last[0], last[1] + succeeded, last[2] + failed]];
}

function withFailures(
  failures: readonly CircuitFailure[],
  results: readonly CircuitResult[],
  now: number,
): CircuitFailure[] {
  const latest = results.flatMap((result) =>
    result.outcome === "failed" ? [{ ...result.failure, message: cut(result.failure.message), at: now }] : [],
  );
  return [...latest.reverse(), ...failures].slice(0, MAX_FAILURES);
}

/** Whole characters of a message. */
function cut(message: string): string {
  return message.length <= MAX_MESSAGE ? message : `${message.slice(0, MAX_MESSAGE).toWellFormed()}...`;
}

function unreachable(value: never): never {
  throw new TypeError(`unknown state ${JSON.stringify(value)}`);
}

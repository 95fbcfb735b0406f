/** Lets the probes of open circuits through in time, and records what becomes of circuits in log and metrics. */
import { plural } from "../../domain/explain/reason.ts";
import type { AttemptKey } from "../../domain/ids.ts";
import { type Circuit, countsOf } from "../../domain/tasks/limits/circuit.ts";
import type { CircuitTransition } from "../../domain/tasks/limits/circuit-machine.ts";
import type { CircuitChange, CircuitStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import type { Mechanisms } from "../mechanisms/mechanisms.ts";
import type { Session } from "../sessions/session.ts";

/** Circuits that become half-open in one run; the others in the next. */
const MAX_DUE = 100;

const EVENTS = {
  open: "circuit.opened",
  reopen: "circuit.opened",
  openByOperator: "circuit.opened",
  halfOpen: "circuit.half_opened",
  close: "circuit.closed",
  reset: "circuit.closed",
} as const satisfies Record<CircuitTransition, string>;

/**
 * A circuit holds back tasks by its concurrency key, whose limit the store sets with each transition: the rule of
 * concurrency keys plans with it. The store counts results and opens and closes circuits with the results that it
 * commits; what is left is time.
 */
export class Circuits {
  readonly #store: Pick<CircuitStore, "circuitTotals" | "halfOpenDue">;
  readonly #log: Pick<Logger, "info" | "warn">;
  readonly #counters: Pick<Counters, "circuitTransitions">;
  readonly #mechanisms: Pick<Mechanisms, "observed">;
  #open = 0;
  #halfOpen = 0;

  constructor(parts: {
    readonly store: Pick<CircuitStore, "circuitTotals" | "halfOpenDue">;
    readonly log: Pick<Logger, "info" | "warn">;
    readonly counters: Pick<Counters, "circuitTransitions">;
    readonly mechanisms: Pick<Mechanisms, "observed">;
  }) {
    this.#store = parts.store;
    this.#log = parts.log;
    this.#counters = parts.counters;
    this.#mechanisms = parts.mechanisms;
  }

  /** Circuits that were open and half-open at the last run. */
  get totals(): { readonly open: number; readonly halfOpen: number } {
    return { open: this.#open, halfOpen: this.#halfOpen };
  }

  /** True when every circuit was closed at the last run. */
  get allClosed(): boolean {
    return this.#open + this.#halfOpen === 0;
  }

  /**
   * Makes circuits half-open whose time has come. Every scheduler does it; the first one makes the transition.
   *
   * @returns Until the next one is due, milliseconds; undefined when none is.
   * @throws DatabaseUnavailableError
   */
  async runOnce(): Promise<number | undefined> {
    let totals = await this.#store.circuitTotals();
    if (totals.dueInMs === 0) {
      for (const change of await this.#store.halfOpenDue(MAX_DUE)) this.changed(change);
      totals = await this.#store.circuitTotals();
    }
    this.#open = totals.open;
    this.#halfOpen = totals.halfOpen;
    return totals.dueInMs;
  }

  /** A result would have opened the circuit, had its mode been `act`. */
  observed(
    circuit: Circuit,
    attempt: AttemptKey,
    { id: sessionId, workerId }: Pick<Session, "id" | "workerId">,
  ): void {
    const { key, state } = circuit;
    const { succeeded, failed } = countsOf(circuit, circuit.counts.at(-1)?.[0] ?? circuit.since);
    const reason =
      state === "half_open"
        ? `a probe of the circuit ${JSON.stringify(key)} failed`
        : `${failed} of the last ${plural(succeeded + failed, "result")} of the circuit ${JSON.stringify(key)} failed`;
    this.#mechanisms.observed(
      { mechanism: "circuits", would: "open", reason },
      { attempt, sessionId, workerId, facts: { key } },
    );
  }

  /** This scheduler changed a circuit. */
  changed({ circuit, transition }: CircuitChange): void {
    this.#counters.circuitTransitions[circuit.state]++;
    const { key, since, failures, openCount, openReason, probeAt } = circuit;
    const name = EVENTS[transition];
    if (name !== "circuit.opened") {
      this.#log.info(name, { key, transition });
      return;
    }
    const [last] = failures;
    this.#log.warn(name, {
      key,
      transition,
      ...countsOf(circuit, since),
      open_count: openCount,
      ...(openReason === undefined ? {} : { reason: openReason }),
      ...(last ? { code: last.code, message: last.message } : {}),
      ...(probeAt === undefined ? {} : { probe_time: new Date(probeAt).toISOString() }),
    });
  }
}

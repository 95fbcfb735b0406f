/** The role of the store that keeps the circuits of tasks, opens and closes them, and lets their probes through. */
import type { CircuitAsked } from "../domain/tasks/limits/circuit.ts";
import type { CircuitChange } from "../domain/tasks/limits/circuit-machine.ts";

export type { CircuitChange } from "../domain/tasks/limits/circuit-machine.ts";

/** A circuit as it was read. */
export interface CircuitRow extends CircuitAsked {
  /** When it was read, by the database's clock, milliseconds since the epoch. */
  readonly readAt: number;
}

/** The circuits that are not closed. */
export interface CircuitTotals {
  readonly open: number;
  readonly halfOpen: number;
  /** Until the next one becomes half-open, milliseconds; 0 when it is due, undefined when none is. */
  readonly dueInMs: number | undefined;
}

/** Circuits. Results are counted by `commitResults`, in the transaction that ends the attempts. */
export interface CircuitStore {
  circuitTotals(): Promise<CircuitTotals>;
  /** Circuits by key. */
  listCircuits(filter: {
    /** Only this one. */
    readonly key?: string | undefined;
    readonly afterKey?: string | undefined;
    /** Only those that are open or half-open. */
    readonly notClosed: boolean;
    readonly limit: number;
  }): Promise<CircuitRow[]>;
  /** Makes those half-open whose time has come; at most `limit`. */
  halfOpenDue(limit: number): Promise<CircuitChange[]>;
  /** @param opening.forMs Then it becomes half-open; undefined when it stays open. */
  openCircuit(
    key: string,
    opening: { readonly reason: string; readonly forMs: number | undefined },
  ): Promise<CircuitChange>;
  /** Closes the circuit and forgets what it has counted. */
  resetCircuit(key: string, reason: string): Promise<CircuitChange>;
}

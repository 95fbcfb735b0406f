/** The fake of the role of circuits, and the counting of results. */
import { type Circuit, circuitLimit, circuitLock } from "../../../domain/tasks/limits/circuit.ts";
import {
  type CircuitChange,
  type CircuitResult,
  countResults,
  halfOpen,
  newCircuit,
  openByOperator,
  reset,
} from "../../../domain/tasks/limits/circuit-machine.ts";
import type { CircuitRow, CircuitStore, CircuitTotals, CommitResult } from "../../store.ts";
import type { MemoryTables } from "./memory-tables.ts";

/** A fake of the circuits' role, in memory. */
export class MemoryCircuits implements CircuitStore {
  readonly #tables: MemoryTables;

  constructor(tables: MemoryTables) {
    this.#tables = tables;
  }

  async circuitTotals(): Promise<CircuitTotals> {
    const circuits = [...this.#tables.circuits.values()];
    const due = circuits.flatMap(({ probeAt }) => probeAt ?? []);
    return {
      open: circuits.filter(({ state }) => state === "open").length,
      halfOpen: circuits.filter(({ state }) => state === "half_open").length,
      dueInMs: due.length === 0 ? undefined : Math.max(0, Math.min(...due) - this.#tables.clock.now()),
    };
  }

  async listCircuits({
    key,
    afterKey = "",
    notClosed,
    limit,
  }: Parameters<CircuitStore["listCircuits"]>[0]): Promise<CircuitRow[]> {
    return [...this.#tables.circuits.values()]
      .filter((circuit) => key === undefined || circuit.key === key)
      .filter((circuit) => circuit.key > afterKey && (!notClosed || circuit.state !== "closed"))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .slice(0, limit)
      .map((circuit) => ({
        circuit,
        active: this.#tables.keyState(circuitLock(circuit.key).key).held,
        readAt: this.#tables.clock.now(),
      }));
  }

  async halfOpenDue(limit: number): Promise<CircuitChange[]> {
    const now = this.#tables.clock.now();
    return [...this.#tables.circuits.values()]
      .flatMap((circuit) => halfOpen(circuit, now) ?? [])
      .slice(0, limit)
      .map((change) => keep(this.#tables, change));
  }

  async openCircuit(
    key: string,
    { reason, forMs }: Parameters<CircuitStore["openCircuit"]>[1],
  ): Promise<CircuitChange> {
    return keep(this.#tables, openByOperator(this.#of(key), reason, forMs, this.#tables.clock.now()));
  }

  async resetCircuit(key: string): Promise<CircuitChange> {
    return keep(this.#tables, reset(this.#of(key), this.#tables.clock.now()));
  }

  #of(key: string): Circuit {
    return this.#tables.circuits.get(key) ?? newCircuit(key, this.#tables.clock.now());
  }
}

/** Counts results of one circuit; returns what they caused, or would have caused. */
export function countInMemory(
  tables: MemoryTables,
  key: string,
  results: readonly CircuitResult[],
): Pick<CommitResult, "circuit" | "wouldOpen"> {
  const now = tables.clock.now();
  const before = tables.circuits.get(key) ?? newCircuit(key, now);
  const { circuit, transition, wouldOpen } = countResults(before, results, now, 0);
  tables.circuits.set(key, circuit);
  if (wouldOpen) return { wouldOpen: circuit };
  return transition ? { circuit: keep(tables, { circuit, transition }) } : {};
}

function keep(tables: MemoryTables, change: CircuitChange): CircuitChange {
  const { circuit } = change;
  const lock = circuitLock(circuit.key).key;
  const limit = circuitLimit(circuit);
  tables.circuits.set(circuit.key, circuit);
  if (limit === undefined) tables.overrides.delete(lock);
  else tables.overrides.set(lock, limit);
  return change;
}

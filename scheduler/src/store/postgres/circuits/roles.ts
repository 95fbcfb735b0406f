/** The role of the store that this folder implements: circuits. */
import type { CircuitStore } from "../../circuits.ts";
import type { Database } from "../connection/database.ts";
import { circuitTotals, halfOpenDue, listCircuits, openCircuit, resetCircuit } from "./circuits.ts";

export function circuitStore(db: Database): CircuitStore {
  return {
    circuitTotals: () => circuitTotals(db),
    listCircuits: (filter) => listCircuits(db, filter),
    halfOpenDue: (limit) => halfOpenDue(db, limit),
    openCircuit: (key, opening) => openCircuit(db, key, opening),
    resetCircuit: (key, reason) => resetCircuit(db, key, reason),
  };
}

/** The handlers of FleetService for circuits. */
import type { FleetService } from "@muster/protocol";
import type { Dispatch } from "../../../dispatch/dispatch.ts";
import { invalidRequest } from "../../../domain/refusals.ts";
import type { CircuitChange, CircuitStore } from "../../../store/store.ts";
import { fromCircuit } from "../../convert/tasks/limits/circuit.ts";
import { requireKey } from "../../convert/tasks/limits/concurrency.ts";
import { fitPage } from "../../convert/values/message-size.ts";
import { storable } from "../../convert/values/text.ts";
import { durationFault, toMs } from "../../convert/values/time.ts";
import type { Handlers } from "../../server/handlers.ts";
import { keyToken, pageSize, parseKeyToken } from "../pages.ts";

/** Longest opening by an operator: 366 days. */
const MAX_OPEN_MS = 366 * 86_400_000;

/** Parts that they use. */
export interface CircuitHandlerParts {
  readonly store: Pick<CircuitStore, "listCircuits" | "openCircuit" | "resetCircuit">;
  readonly circuits: Pick<Dispatch["circuits"], "changed">;
  readonly pageBytes: number;
}

type CircuitHandlers = Pick<Handlers<typeof FleetService>, "listCircuits" | "openCircuit" | "resetCircuit">;

export function circuitHandlers({ store, circuits, pageBytes }: CircuitHandlerParts): CircuitHandlers {
  const answer = async (change: CircuitChange) => {
    circuits.changed(change);
    const [row] = await store.listCircuits({ key: change.circuit.key, notClosed: false, limit: 1 });
    return {
      circuit: fromCircuit(row ?? { circuit: change.circuit, active: 0, readAt: change.circuit.since }),
    };
  };
  return {
    async listCircuits({ key, notClosed, pageToken, ...request }) {
      if (key !== "") requireKey(key);
      const limit = pageSize(request.pageSize, 50);
      const found = await store.listCircuits({
        key: key || undefined,
        afterKey: parseKeyToken(pageToken),
        notClosed,
        limit: limit + 1,
      });
      const page = fitPage(found, limit, fromCircuit, pageBytes);
      const { last, more } = page;
      return { circuits: page.items, nextPageToken: last && more ? keyToken(last.circuit.key) : "" };
    },

    async openCircuit({ key, reason, openFor }) {
      requireKey(key);
      const fault = openFor && durationFault(openFor, MAX_OPEN_MS);
      const forMs = toMs(openFor);
      if (fault !== undefined) throw invalidRequest({ field: "open_for", description: fault });
      if (forMs !== undefined && forMs < 1_000)
        throw invalidRequest({ field: "open_for", description: `${forMs / 1_000} s is less than 1 s` });
      return answer(await store.openCircuit(key, { reason: reasonOf(reason), forMs }));
    },

    async resetCircuit({ key, reason }) {
      requireKey(key);
      return answer(await store.resetCircuit(key, reasonOf(reason)));
    },
  };
}

function reasonOf(reason: string): string {
  return storable(reason, 1_024) || "by an operator";
}

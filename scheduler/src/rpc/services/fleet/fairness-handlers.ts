/** The handlers of FleetService for fairness keys. */
import type { FleetService } from "@muster/protocol";
import type { Dispatch } from "../../../dispatch/dispatch.ts";
import { invalidRequest } from "../../../domain/refusals.ts";
import { MAX_WEIGHT } from "../../../domain/tasks/fairness.ts";
import type { FairnessKeyRow, FairnessStore } from "../../../store/store.ts";
import { fromFairnessKey } from "../../convert/tasks/fairness.ts";
import { keyFault } from "../../convert/tasks/limits/concurrency.ts";
import { fitPage } from "../../convert/values/message-size.ts";
import { storable } from "../../convert/values/text.ts";
import type { Handlers } from "../../server/handlers.ts";
import { keyToken, pageSize, parseKeyToken } from "../pages.ts";
import { requireQueueName } from "./queue-handlers.ts";

/** Parts that they use. */
export interface FairnessHandlerParts {
  readonly store: Pick<FairnessStore, "listFairnessKeys" | "setFairnessWeight">;
  readonly shareWeights: Pick<Dispatch["shareWeights"], "refresh">;
  readonly classes: {
    readonly windows: { readonly order: Pick<Dispatch["classes"]["windows"]["order"], "recentStarts"> };
  };
  readonly pageBytes: number;
}

type FairnessHandlers = Pick<
  Handlers<typeof FleetService>,
  "listFairnessKeys" | "setFairnessWeight" | "unsetFairnessWeight"
>;

export function fairnessHandlers({
  store,
  shareWeights,
  classes,
  pageBytes,
}: FairnessHandlerParts): FairnessHandlers {
  const shown = (row: FairnessKeyRow) =>
    fromFairnessKey(row, classes.windows.order.recentStarts(row.queue, row.key));
  const set = async (queue: string, key: string, weight: { weight: number; reason: string } | undefined) => {
    await store.setFairnessWeight(queue, key, weight);
    await shareWeights.refresh();
    const [row] = await store.listFairnessKeys({ queue, key, limit: 1 });
    return { fairnessKey: shown(row ?? unused(queue, key)) };
  };
  return {
    async listFairnessKeys({ queue, pageToken, ...request }) {
      const limit = pageSize(request.pageSize, 50);
      const found = await store.listFairnessKeys({
        queue: requireQueueName(queue || "default"),
        afterKey: parseKeyToken(pageToken),
        limit: limit + 1,
      });
      const page = fitPage(found, limit, shown, pageBytes);
      return {
        fairnessKeys: page.items,
        nextPageToken: page.last && page.more ? keyToken(page.last.key) : "",
      };
    },

    async setFairnessWeight({ queue, key, weight, reason }) {
      const name = requireQueueName(queue || "default");
      requireKey(key);
      if (weight < 1 || weight > MAX_WEIGHT)
        throw invalidRequest({
          field: "weight",
          description: `${weight} is not between 1 and ${MAX_WEIGHT}`,
        });
      return set(name, key, { weight, reason: storable(reason, 1_024) || "set by an operator" });
    },

    async unsetFairnessWeight({ queue, key }) {
      const name = requireQueueName(queue || "default");
      requireKey(key);
      return set(name, key, undefined);
    },
  };
}

function requireKey(key: string): void {
  const fault = keyFault(key);
  if (fault !== undefined) throw invalidRequest({ field: "key", description: fault });
}

/** A key that no open task has, without a weight of an operator's. */
function unused(queue: string, key: string): FairnessKeyRow {
  return { queue, key, taskWeight: undefined, override: undefined, ready: 0, active: 0 };
}

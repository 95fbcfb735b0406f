/** The handlers of FleetService for concurrency keys. */
import type { FleetService } from "@muster/protocol";
import type { Dispatch } from "../../../dispatch/dispatch.ts";
import { invalidRequest } from "../../../domain/refusals.ts";
import type { ConcurrencyStore, LockRow } from "../../../store/store.ts";
import { fromLock, MAX_LIMIT, requireKey } from "../../convert/tasks/limits/concurrency.ts";
import { fitPage } from "../../convert/values/message-size.ts";
import { storable } from "../../convert/values/text.ts";
import type { Handlers } from "../../server/handlers.ts";
import { keyToken, pageSize, parseKeyToken } from "../pages.ts";

/** Holders of a key that are listed. */
const MAX_HOLDERS = 20;

/** Parts that they use. */
export interface LockHandlerParts {
  readonly store: Pick<ConcurrencyStore, "keyStates" | "listLocks" | "setKeyLimit">;
  readonly concurrencyKeys: Pick<Dispatch["concurrencyKeys"], "setOverrides">;
  readonly dispatcher: Pick<Dispatch["dispatcher"], "pump">;
  readonly pageBytes: number;
}

type LockHandlers = Pick<
  Handlers<typeof FleetService>,
  "listLocks" | "setConcurrencyLimit" | "unsetConcurrencyLimit"
>;

export function lockHandlers({
  store,
  concurrencyKeys,
  dispatcher,
  pageBytes,
}: LockHandlerParts): LockHandlers {
  const setLimit = async (key: string, limit: { limit: number; reason: string } | undefined) => {
    await store.setKeyLimit(key, limit);
    concurrencyKeys.setOverrides(await store.keyStates([]));
    dispatcher.pump();
    const [lock] = await store.listLocks({ key, blocked: false, limit: 1, maxHolders: MAX_HOLDERS });
    return { lock: fromLock(lock ?? unused(key)) };
  };
  return {
    async listLocks({ key, blocked, pageToken, ...request }) {
      if (key !== "") requireKey(key);
      const limit = pageSize(request.pageSize, 50);
      const found = await store.listLocks({
        key: key || undefined,
        afterKey: parseKeyToken(pageToken),
        blocked,
        limit: limit + 1,
        maxHolders: MAX_HOLDERS,
      });
      const page = fitPage(found, limit, fromLock, pageBytes);
      return { locks: page.items, nextPageToken: page.last && page.more ? keyToken(page.last.key) : "" };
    },

    async setConcurrencyLimit({ key, limit, reason }) {
      requireKey(key);
      if (limit === undefined || limit < 0 || limit > MAX_LIMIT) {
        const found = limit === undefined ? "is not set; it must be" : `${limit} is not`;
        throw invalidRequest({ field: "limit", description: `${found} between 0 and ${MAX_LIMIT}` });
      }
      return setLimit(key, { limit, reason: storable(reason, 1_024) || "set by an operator" });
    },

    async unsetConcurrencyLimit({ key }) {
      requireKey(key);
      return setLimit(key, undefined);
    },
  };
}

/** A key that no task holds or waits for, without a limit of an operator's. */
function unused(key: string): LockRow {
  return {
    key,
    held: 0,
    taskLimits: undefined,
    override: undefined,
    holders: [],
    waiting: 0,
    waitingSince: undefined,
    firstInOrder: undefined,
  };
}

/** The role of the store that this folder implements: concurrency keys. */
import type { ConcurrencyStore } from "../../concurrency.ts";
import type { Database } from "../connection/database.ts";
import { correctKey, keyDifferences, keyStates, setKeyLimit } from "./keys.ts";
import { listLocks } from "./locks.ts";
import { keyOrders } from "./orders.ts";

export function concurrencyStore(db: Database): ConcurrencyStore {
  return {
    keyStates: (keys) => keyStates(db, keys),
    keyOrders: (keys) => keyOrders(db, keys),
    listLocks: (filter) => listLocks(db, filter),
    setKeyLimit: (key, limit) => setKeyLimit(db, key, limit),
    keyDifferences: (limit) => keyDifferences(db, limit),
    correctKey: (key) => correctKey(db, key),
  };
}

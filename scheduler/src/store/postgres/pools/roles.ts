/** The role of the store that this folder implements: pools. */
import type { PoolStore } from "../../pools.ts";
import type { Database, Runner } from "../connection/database.ts";
import { changePool, decidePool } from "./decide.ts";
import {
  endedLaunches,
  launchStops,
  leasePools,
  listPoolLaunches,
  observeLaunches,
  releasePools,
  takeLaunches,
} from "./launchers.ts";
import { databaseNowMs, readPools } from "./pool-rows.ts";
import { poolTemplates } from "./templates.ts";

export function poolStore(db: Database): PoolStore {
  const cold: Runner = { run: (statement, values) => db.cold(statement, values) };
  return {
    listPools: async (filter) => ({ pools: await readPools(cold, filter), nowMs: await databaseNowMs(cold) }),
    changePool: (name, change) => changePool(db, name, change),
    decidePool: (name, decide) => decidePool(db, name, decide),
    poolTemplates: (name) => poolTemplates(cold, name),
    listPoolLaunches: (filter) => listPoolLaunches(db, filter),
    leasePools: (claim, leaseMs) => leasePools(db, claim, leaseMs),
    releasePools: (session) => releasePools(db, session),
    takeLaunches: (launcherId, session, pools, sent) => takeLaunches(db, launcherId, session, pools, sent),
    launchStops: (launcherId) => launchStops(db, launcherId),
    endedLaunches: (launchIds) => endedLaunches(db, launchIds),
    observeLaunches: (launcherId, observations) => observeLaunches(db, launcherId, observations),
  };
}

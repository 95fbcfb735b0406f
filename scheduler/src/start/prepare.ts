// What a scheduler does with the database before it takes calls.
import type { Clock } from "../clock.ts";
import type { Dispatch } from "../dispatch/dispatch.ts";
import { isAbsence } from "../domain/errors.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logs/logger.ts";

/** A read of the schema that takes longer failed, milliseconds. */
const SCHEMA_WITHIN_MS = 2_000;

/** The statements with which a scheduler starts. */
type PreparedStore = Pick<
  Store,
  "announce" | "connectionShortage" | "ensurePartitions" | "openHot" | "otherSchedulers"
>;

/** Makes partitions, opens the connections of the hot path, announces this scheduler, reads the classes and what operators set for queues. */
export async function prepareDatabase(
  {
    store,
    dispatch,
    log,
  }: {
    store: PreparedStore;
    dispatch: Pick<
      Dispatch,
      "peers" | "classes" | "queueBuilds" | "queueLimits" | "queueSettings" | "shareWeights"
    >;
    log: Logger;
  },
  scheduler: { id: string; address: string; version: string },
  { announceLeaseMs, maxConnections }: { announceLeaseMs: number; maxConnections: number },
): Promise<void> {
  try {
    // The partitions loop tries again, and reports a lock that is in its way.
    await store.ensurePartitions();
  } catch (error) {
    if (isAbsence(error)) throw error;
    // Until then rows go to the default partitions.
    log.error("loop.failed", { loop: "partitions", error });
  }
  await store.openHot();
  const shortage = await store.connectionShortage();
  if (shortage)
    log.warn("database.few_connections", {
      limit: shortage.limit,
      used: shortage.used,
      left: shortage.left,
      most: maxConnections,
      message: `${shortage.says}: ${shortage.remedy}`,
    });
  await store.announce(scheduler, announceLeaseMs);
  dispatch.peers.count = (await store.otherSchedulers(scheduler.id)).length;
  await dispatch.classes.learn();
  await dispatch.queueLimits.refresh();
  await dispatch.shareWeights.refresh();
  await dispatch.queueSettings.refresh();
  await dispatch.queueBuilds.refresh();
}

/** Migrations that the database lacks. @throws Error when it does not answer in time: the database loop must not hang. */
export async function readMissingMigrations(
  store: Pick<Store, "missingMigrations">,
  clock: Clock,
): Promise<readonly string[]> {
  const done = new AbortController();
  const late = clock.sleep(SCHEMA_WITHIN_MS, done.signal).then(() => "late" as const);
  const first = await Promise.race([store.missingMigrations(), late]).finally(() => done.abort());
  if (first === "late") throw new Error(`the database has not answered for ${SCHEMA_WITHIN_MS} ms`);
  return first;
}

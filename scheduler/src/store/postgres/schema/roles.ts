/** The role of the store that watches and maintains the database: its health, schema and retention. */
import type { MaintenanceStore } from "../../maintenance.ts";
import type { Database } from "../connection/database.ts";
import type { Probe } from "../connection/probe.ts";
import { inspectDatabase } from "../fleet/inspect.ts";
import { foreignLock } from "../fleet/lock-waits.ts";
import { purgeStep } from "./queue-retention.ts";
import { dropOld, ensurePartitions } from "./retention.ts";
import { missingMigrations } from "./schema-check.ts";

export function maintenanceStore(db: Database, probe: Probe): MaintenanceStore {
  return {
    databaseTime: () => databaseTime(db),
    probe: () => probe.once(),
    lastAnswerMs: () => db.lastAnswerMs,
    foreignLock: (afterMs) => foreignLock(db, afterMs),
    openHot: () => db.openHot(),
    connectionShortage: () => db.connectionShortage(),
    missingMigrations: () => missingMigrations(db),
    ensurePartitions: () => ensurePartitions(db),
    dropOld: (keepDays) => dropOld(db, keepDays),
    purgeStep: (keepDays, from) => purgeStep(db, keepDays, from),
    inspect: () => inspectDatabase(db),
  };
}

const NOW = { name: "database-time", text: "select now() as now" };

async function databaseTime(db: Database): Promise<Date> {
  const [row] = await db.coldOnce<{ now: Date }>(NOW, []);
  if (!row) throw new Error(`the statement ${NOW.name} returned no row`);
  return row.now;
}

/** Opens the store on PostgreSQL: makes its connections and composes its roles, which each folder implements. */
import { type Clock, holding, systemClock } from "../../clock.ts";
import type { DatabaseMeasures } from "../../telemetry/metrics/database-measures.ts";
import type { Store } from "../store.ts";
import { changeStore } from "./changes/roles.ts";
import { circuitStore } from "./circuits/roles.ts";
import { concurrencyStore } from "./concurrency/roles.ts";
import { ConnectionTarget } from "./connection/connection.ts";
import { Database } from "./connection/database.ts";
import { openSession } from "./connection/open-session.ts";
import { Probe } from "./connection/probe.ts";
import { batchStore, dependencyStore } from "./dependencies/roles.ts";
import { Listener } from "./events/notify.ts";
import { eventStore } from "./events/roles.ts";
import { fairnessStore, fleetStore, queueStore, schedulerStore } from "./fleet/roles.ts";
import { metricStore } from "./metrics/roles.ts";
import { pollStore } from "./polls.ts";
import { poolStore } from "./pools/roles.ts";
import { rateLimitStore } from "./rate-limits/roles.ts";
import { scheduleStore } from "./schedules/roles.ts";
import { loadMigrations, type MigrationOptions, type MigrationReport, migrate } from "./schema/migrate.ts";
import { maintenanceStore } from "./schema/roles.ts";
import { quarantineStore } from "./sessions/quarantines.ts";
import { launchStore, sessionStore } from "./sessions/roles.ts";
import { historyStore, statisticsStore } from "./statistics/roles.ts";
import { taskLogStore } from "./task-logs/roles.ts";
import { attemptStore, checkpointStore, claimStore, classStore, taskStore } from "./tasks/roles.ts";

/** Options of the PostgreSQL store. */
export interface PostgresStoreOptions {
  readonly url: string;
  /** Where the variables of libpq are looked up (`PGSSLMODE` and so on); nowhere by default. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Shown in `pg_stat_activity`. */
  readonly applicationName: string;
  /** The most connections that are opened, 28 by default; at least `LEAST_CONNECTIONS`. */
  readonly connections?: number;
  /** How long reads and fenced writes are tried again, milliseconds; 1,500 by default: callers get an answer within two seconds. */
  readonly retryForMs?: number;
  readonly clock?: Clock;
  /** Called with errors of idle and listening connections. */
  readonly onConnectionError: (error: Error) => void;
  /** Counts statements, connections and failures for the metrics. */
  readonly measures?: DatabaseMeasures;
}

// Three lanes keep Postgres busy while two batches are decoded; more only add locks to wait for.
const HOT_CONNECTIONS = 3;
/** One connection listens. */
const LISTENERS = 1;
/**
 * Leaves more for the cold pool than there are background services: when each of them waits for a locked table,
 * `muster doctor` can still read which session locks it. Connections are opened as they are needed.
 */
const MOST_CONNECTIONS = 28;

/**
 * Applies the missing migrations, and advances the ids when the database is a copy of another.
 *
 * @param options.env Where the variables of libpq are looked up; nowhere by default.
 * @throws SchemaMismatchError, MissingRightsError, SharedSessionError, DatabaseUrlError, DatabaseUnavailableError.
 */
export async function migrateDatabase(
  url: string,
  options: MigrationOptions & { readonly env?: Readonly<Record<string, string | undefined>> } = {},
): Promise<MigrationReport> {
  const target = new ConnectionTarget(url, options.env);
  return holding(async () => migrate(target, await loadMigrations(), options));
}

/** Opens the store. Connections are made when needed; the schema must be there. */
export function openPostgresStore(options: PostgresStoreOptions): Store {
  const clock = options.clock ?? systemClock;
  const target = new ConnectionTarget(options.url, options.env);
  const db = new Database(
    {
      target,
      applicationName: options.applicationName,
      hotConnections: HOT_CONNECTIONS,
      coldConnections: (options.connections ?? MOST_CONNECTIONS) - HOT_CONNECTIONS - LISTENERS,
      retryForMs: options.retryForMs ?? 1_500,
    },
    clock,
    options.onConnectionError,
    options.measures,
  );
  const listener = new Listener(
    (signal) => openSession(target, options.applicationName, "listen", { signal }),
    clock,
  );
  db.onRenewed(() => void listener.renew().catch(options.onConnectionError));

  const listen: Store["listen"] = (onHint, onConnected) =>
    listener.start(onHint, onConnected, options.onConnectionError, (listening) => {
      db.listeners = listening ? LISTENERS : 0;
      if (options.measures) options.measures.listening = listening;
    });
  return {
    ...classStore(db),
    ...claimStore(db),
    ...attemptStore(db),
    ...checkpointStore(db),
    ...concurrencyStore(db),
    ...rateLimitStore(db),
    ...circuitStore(db),
    ...dependencyStore(db),
    ...fairnessStore(db),
    ...batchStore(db),
    ...taskStore(db),
    ...taskLogStore(db),
    ...metricStore(db),
    ...changeStore(db),
    ...sessionStore(db),
    ...quarantineStore(db),
    ...launchStore(db),
    ...eventStore(db),
    ...schedulerStore(db, listen),
    ...scheduleStore(db),
    ...pollStore(db),
    ...poolStore(db),
    ...queueStore(db),
    ...fleetStore(db),
    ...statisticsStore(db),
    ...historyStore(db),
    ...maintenanceStore(db, new Probe(db, clock)),
    close: () =>
      holding(async () => {
        await listener.close();
        await db.close();
      }),
  };
}

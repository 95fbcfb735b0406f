/** What the package exports: starting a scheduler from a program. */
export { reapAsProcessOne } from "@muster/common/process/process-one";
export {
  type EmbeddedPostgres,
  EmbeddedPostgresError,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from "@muster/embedded-postgres";
export { type Address, type Config, ConfigError, loadConfig } from "./config/config.ts";
export { describeSettings } from "./config/settings-help.ts";
export { type Beside, runMigrate, runScheduler, type ServingScheduler } from "./main.ts";
export { type Scheduler, startScheduler } from "./scheduler.ts";
export { migrateDatabase, openPostgresStore } from "./store/postgres/postgres-store.ts";
export type { Store } from "./store/store.ts";
export { type Logger, silentLogger } from "./telemetry/logs/logger.ts";
export { VERSION } from "./version.ts";

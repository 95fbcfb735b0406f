/** The package's entry: start an embedded PostgreSQL, and the one error that a start rejects with. */
export {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from "./embedded-postgres.ts";
export { EmbeddedPostgresError } from "./errors.ts";

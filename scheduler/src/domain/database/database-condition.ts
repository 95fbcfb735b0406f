/** Every condition of a database that cannot be used, with its text and its remedy; both are parts of sentences. */
export interface ConditionWords {
  readonly says: string;
  readonly remedy: string;
}

/** Every condition of a database that has a text of its own. */
export const DATABASE_CONDITIONS = {
  unreachable: {
    says: "PostgreSQL cannot be reached",
    remedy:
      "start PostgreSQL, or check that this host can reach the address in DATABASE_URL (firewall, network)",
  },
  silent: {
    says: "PostgreSQL does not answer",
    remedy: "check the load, the disk and the locks of PostgreSQL, and the network to it",
  },
  unknown_host: {
    says: "the name of the database's host cannot be resolved",
    remedy: "correct the host in DATABASE_URL, or fix the name service of this machine",
  },
  starting: {
    says: "PostgreSQL is starting, stopping or recovering",
    remedy: "wait until it has started; check its log if that takes long",
  },
  disk_full: {
    says: "the disk of the database is full",
    remedy:
      "free space on the disk of PostgreSQL's data folder (or of the tablespace that the message names), or make it larger",
  },
  out_of_memory: {
    says: "PostgreSQL has no memory left",
    remedy: "free memory on the host of PostgreSQL, or lower work_mem and the number of its connections",
  },
  too_many_connections: {
    says: "PostgreSQL takes no more connections",
    remedy:
      "end sessions that are not needed (select * from pg_stat_activity), or raise max_connections, or the limit of the role (alter role ... connection limit) or of the database",
  },
  out_of_descriptors: {
    says: "this process or its machine has no file descriptor left for a connection",
    remedy: "raise the limit of open files of the scheduler (ulimit -n, LimitNOFILE) and restart it",
  },
  out_of_sockets: {
    says: "this machine has no memory or port left for a connection",
    remedy: "free memory on the scheduler's machine, or end connections that it holds",
  },
  login_refused: {
    says: "PostgreSQL does not let the role log in",
    remedy:
      "let the role log in again (alter role ... login), and check its entry in pg_hba.conf and its `valid until`",
  },
  password_refused: {
    says: "PostgreSQL refuses the password",
    remedy:
      "correct the password in DATABASE_URL and restart the scheduler, or set it in PostgreSQL (alter role ... password)",
  },
  no_database: {
    says: "the database does not exist",
    remedy: "correct the name in DATABASE_URL, or create it (create database ...)",
  },
  no_permission: {
    says: "the role lacks a privilege",
    remedy: "grant it to the role of DATABASE_URL; docs/operations.md lists what a scheduler needs",
  },
  read_only: {
    says: "the database takes no writes: it is a replica or set read-only",
    remedy:
      "let DATABASE_URL name the primary, or set default_transaction_read_only to off where it was set (show default_transaction_read_only; alter role, alter database, alter system)",
  },
  certificate: {
    says: "the encrypted connection to PostgreSQL cannot be made",
    remedy:
      "check the certificate of PostgreSQL (dates, names, issuer), and sslmode and sslrootcert in DATABASE_URL",
  },
  pooler: {
    says: "the connection pooler or PostgreSQL reports an error of its own",
    remedy: "check the log of the pooler (for example PgBouncer) and the log of PostgreSQL",
  },
  startup_parameter: {
    says: "the connection pooler refuses a parameter of the connection",
    remedy:
      "leave the parameter out of DATABASE_URL and of the PG* variables, or name it in ignore_startup_parameters of PgBouncer",
  },
  session_ended: {
    says: "PostgreSQL ended the session",
    remedy:
      "nothing, if it happens once; if it continues, find out who ends sessions, and check the timeouts of the role and the database (idle_session_timeout, idle_in_transaction_session_timeout, transaction_timeout)",
  },
  locked: {
    says: "a lock in the database is not released in time",
    remedy: "find the holder of the lock (pg_locks, pg_prepared_xacts), and end it",
  },
  cancelled: {
    says: "a statement took longer than it may, or was cancelled",
    remedy:
      "check the load and the locks of PostgreSQL, and whether statements are cancelled by hand or by a statement_timeout",
  },
  schema: {
    says: "tables of Muster are missing or were changed",
    remedy: "run `muster migrate`, or restore what was changed in the schema muster",
  },
  damaged: {
    says: "PostgreSQL cannot read or write its files",
    remedy: "check the disk and the log of PostgreSQL; restore a backup if data is damaged",
  },
  refused: {
    says: "PostgreSQL refuses a statement",
    remedy: "read the message, and check the log of PostgreSQL",
  },
} as const satisfies Readonly<Record<string, ConditionWords>>;

/** One of the conditions. */
export type DatabaseCondition = keyof typeof DATABASE_CONDITIONS;

/** The remedy of a condition. */
export function conditionRemedy(condition: DatabaseCondition): string {
  return DATABASE_CONDITIONS[condition].remedy;
}

/** Conditions that do not end by themselves: the configuration or the database has to be changed. */
const LASTING: ReadonlySet<DatabaseCondition> = new Set([
  "password_refused",
  "no_database",
  "no_permission",
  "certificate",
  "startup_parameter",
  "schema",
  "refused",
]);

/** True when the start of a scheduler fails with the message instead of waiting. */
export function isLasting(condition: DatabaseCondition): boolean {
  return LASTING.has(condition);
}

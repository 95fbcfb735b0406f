/** Checks of the database. */
import { LEAST_CONNECTIONS } from "../database/connection-limits.ts";
import { conditionRemedy, type DatabaseCondition } from "../database/database-condition.ts";
import { lockRemedy } from "../database/database-lock.ts";
import { agree, IS, plural, span } from "../explain/reason.ts";
import type { DatabaseReport } from "../reports.ts";
import { type Check, fact, found, ok, skipped } from "./check.ts";

/** A statement or commit that takes longer is felt by every submit and every result. */
const SLOW_READ_MS = 250;
const SLOW_WRITE_MS = 1_000;

/** A scheduler opens up to ten connections; with fewer free a restart may find none. */
const CONNECTIONS_OF_A_SCHEDULER = 10;

/** A transaction that is open for longer keeps dead rows of the hot tables from being pruned. */
const LONG_TRANSACTION_MS = 600_000;

/** A replica that is further behind loses more than a moment of accepted work at a fail-over. */
const FAR_BEHIND_BYTES = 1024 ** 3;

/** A command is taken within a poll interval. */
const OLD_COMMAND_MS = 30_000;

/** Names of the checks of a database, in order. */
export const DATABASE_CHECKS = [
  "database.reachable",
  "database.writable",
  "database.migrations",
  "database.connections",
  "database.locks",
  "database.transactions",
  "database.durability",
  "database.partitions",
  "database.replicas",
  "database.commands",
] as const;

/** The check of a database that answers and takes no writes. */
const OF_WRITES: ReadonlySet<DatabaseCondition> = new Set(["disk_full", "read_only", "no_permission"]);

/** A database that cannot be used. */
export function databaseAway(why: string, condition: DatabaseCondition): Check[] {
  const remedy = `${conditionRemedy(condition)}; running tasks go on, and everything returns by itself then`;
  const name = OF_WRITES.has(condition) ? "database.writable" : "database.reachable";
  return DATABASE_CHECKS.map((each) => {
    if (each === name) return found("failed", name, `DATABASE_UNAVAILABLE: ${why}`, remedy);
    if (each === "database.reachable") return ok(each, "PostgreSQL answers");
    return skipped(each, "the database cannot be asked");
  });
}

/** What a database's own report says. @param latency How long a read and a commit took, milliseconds. */
export function databaseChecks(
  report: DatabaseReport,
  latency: { readonly readMs: number; readonly writeMs: number },
): Check[] {
  return [
    reachable(report, latency.readMs),
    writable(report, latency.writeMs),
    migrations(report),
    connections(report),
    locks(report),
    transactions(report),
    durability(report),
    partitions(report),
    replicas(report),
    commands(report),
  ];
}

function reachable({ version }: DatabaseReport, readMs: number): Check {
  const name = "database.reachable";
  const summary = `PostgreSQL ${version} answers in ${span(readMs)}`;
  if (readMs < SLOW_READ_MS) return ok(name, summary);
  return found(
    "warning",
    name,
    `${summary}, which is slow`,
    "look at the database's load and at the network between it and the scheduler",
    [fact("read_ms", Math.round(readMs))],
  );
}

function writable({ readOnly, replica }: DatabaseReport, writeMs: number): Check {
  const name = "database.writable";
  if (readOnly || replica) {
    return found(
      "failed",
      name,
      `the database takes no writes: it is ${replica ? "a replica" : "set read-only"}`,
      "let DATABASE_URL name the primary",
    );
  }
  const summary = `it takes writes; a commit takes ${span(writeMs)}`;
  if (writeMs < SLOW_WRITE_MS) return ok(name, summary);
  return found("warning", name, `${summary}, which is slow`, "look at the disk of the database", [
    fact("write_ms", Math.round(writeMs)),
  ]);
}

function migrations({ missingMigrations: missing, foreignMigrations: foreign }: DatabaseReport): Check {
  const name = "database.migrations";
  if (missing.length > 0) {
    return found(
      "failed",
      name,
      `the database lacks ${plural(missing.length, "migration")} of this scheduler: ${missing.join(", ")}`,
      "run `muster migrate` with this scheduler's DATABASE_URL, or restart the scheduler, which does the same",
    );
  }
  if (foreign.length > 0) {
    return found(
      "failed",
      name,
      `the database has ${plural(foreign.length, "migration")} that this scheduler does not know as they are: ${foreign.join(", ")}`,
      "a newer program has migrated it: upgrade this scheduler",
    );
  }
  return ok(name, "every migration is applied");
}

function connections({ connections: { used, allowed }, connectionShortage }: DatabaseReport): Check {
  const name = "database.connections";
  if (connectionShortage) {
    const { left, says, remedy } = connectionShortage;
    return found(left < LEAST_CONNECTIONS ? "failed" : "warning", name, says, remedy, [
      fact("connections_left", left),
    ]);
  }
  const free = Math.max(0, allowed - used);
  const summary = `${used} of ${allowed} connections are in use`;
  if (free >= 2 * CONNECTIONS_OF_A_SCHEDULER) return ok(name, summary);
  return found(
    free < CONNECTIONS_OF_A_SCHEDULER ? "failed" : "warning",
    name,
    `${summary}: ${free} are free, and a scheduler needs up to ${CONNECTIONS_OF_A_SCHEDULER}`,
    "raise max_connections, or end what holds the others (select * from pg_stat_activity)",
    [fact("free_connections", free)],
  );
}

function locks({ blocked }: DatabaseReport): Check {
  const name = "database.locks";
  const [first] = blocked;
  if (!first) return ok(name, "no statement of Muster waits for a lock");
  const by =
    first.byPid === undefined ? "" : `, held by process ${first.byPid} (${first.byApplication || "unnamed"})`;
  return found(
    "failed",
    name,
    `${plural(blocked.length, "statement")} of Muster ${agree(blocked.length, ["waits", "wait"])} for a lock, the longest for ${span(first.waitMs)}${by}`,
    lockRemedy(first.byPid),
    blocked.map(({ statement, waitMs }) => fact("blocked_statement", statement.replace(/\s+/g, " "), waitMs)),
  );
}

function transactions({ oldestTransaction: oldest }: DatabaseReport): Check {
  const name = "database.transactions";
  if (!oldest || oldest.ageMs < LONG_TRANSACTION_MS) return ok(name, "no transaction has been open for long");
  return found(
    "warning",
    name,
    `a transaction of process ${oldest.pid} (${oldest.application || "unnamed"}, ${oldest.state}) has been open for ${span(oldest.ageMs)}: claims slow down while it lasts`,
    `end it: select pg_terminate_backend(${oldest.pid})`,
  );
}

function durability({ fsync, synchronousCommit }: DatabaseReport): Check {
  const name = "database.durability";
  const off = [...(fsync ? [] : ["fsync"]), ...(synchronousCommit === "off" ? ["synchronous_commit"] : [])];
  if (off.length === 0) return ok(name, "commits are durable");
  return found(
    "warning",
    name,
    `${off.join(" and ")} ${agree(off.length, IS)} off: a crash of the database may lose accepted tasks`,
    `set ${off.map((setting) => `${setting} = on`).join(" and ")}`,
  );
}

function partitions({ partitionsAhead }: DatabaseReport): Check {
  const name = "database.partitions";
  if (partitionsAhead) return ok(name, "partitions for the coming days are there");
  return found(
    "warning",
    name,
    "there is no partition for tomorrow: what lands in the default partition is never dropped by age",
    "look whether the loop `retention` runs; restarting a scheduler makes the partitions too",
  );
}

function replicas({ replicas: list, replica }: DatabaseReport): Check {
  const name = "database.replicas";
  if (replica) return skipped(name, "the database is a replica itself");
  if (list.length === 0) return ok(name, "no replica is connected, or none that may be seen");
  const far = list.filter(({ lagBytes }) => lagBytes > FAR_BEHIND_BYTES);
  const evidence = list.map((each) =>
    fact("replica", `${each.name || "unnamed"} is ${Math.round(each.lagBytes)} bytes behind`),
  );
  if (far.length === 0)
    return ok(name, `${plural(list.length, "replica", ["follows", "follow"])} closely`, evidence);
  return found(
    "warning",
    name,
    `${far.length} of ${plural(list.length, "replica")} ${agree(far.length, IS)} more than 1 GiB behind`,
    "a fail-over would lose accepted work: look at the replica and the network to it",
    evidence,
  );
}

function commands({ oldestCommandAgeMs: age }: DatabaseReport): Check {
  const name = "database.commands";
  if (age === undefined || age < OLD_COMMAND_MS)
    return ok(name, "requests between schedulers are taken in time");
  return found(
    "warning",
    name,
    `a request to a scheduler (a cancellation, a drain) has waited for ${span(age)}`,
    "look whether the scheduler that holds the worker lives and its loop `poll` runs",
  );
}

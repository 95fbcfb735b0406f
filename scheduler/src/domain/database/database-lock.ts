/** Locks of other sessions in the database, in words. */
import { DatabaseUnavailableError } from "../errors.ts";
import { agree, type Evidence, HAS, plural, type Reason, span } from "../explain/reason.ts";

/** A lock of another session in the database that Muster waits for. */
export interface DatabaseLock {
  /** Statements of Muster that wait. */
  readonly waitingCount: number;
  /** How long the first of them has waited. */
  readonly waitMs: number;
  /** Undefined when it cannot be seen: a prepared transaction has no process. */
  readonly holder: LockHolder | undefined;
}

/** A session that holds a lock. */
export interface LockHolder {
  readonly pid: number;
  /** Its `application_name`, or empty. */
  readonly application: string;
  /** For example `idle in transaction`; empty when the role may not see it. */
  readonly state: string;
  /** How long its transaction has been open; undefined when the role may not see it. */
  readonly ageMs: number | undefined;
}

/** The database answers, but a lock of another session blocks Muster's statements. */
export class DatabaseLockedError extends DatabaseUnavailableError {
  readonly lock: DatabaseLock;

  constructor(lock: DatabaseLock) {
    super(describeLock(lock), false, undefined, "locked");
    this.lock = lock;
  }
}

/** The waiting statements, their time, and the holder, in words. */
export function describeLock({ waitingCount, waitMs, holder }: DatabaseLock): string {
  const waits = `${plural(waitingCount, "statement")} of Muster ${agree(waitingCount, HAS)} waited for a lock, the first for ${span(waitMs)}`;
  return `${waits}, held by ${holder ? describeHolder(holder) : "a session that cannot be seen"}`;
}

/** The same as evidence. */
export function lockEvidence({ waitingCount, waitMs, holder }: DatabaseLock): Evidence[] {
  return [
    { key: "waiting_statements", value: String(waitingCount), source: "database", ageMs: waitMs },
    ...(holder
      ? [
          { key: "locked_by_pid", value: String(holder.pid), source: "database" },
          { key: "locked_by", value: holder.application, source: "database" },
        ]
      : []),
  ];
}

/** The remedy for a lock. */
export function lockRemedy(holderPid: number | undefined): string {
  return holderPid !== undefined
    ? `end the session that holds the lock: select pg_terminate_backend(${holderPid})`
    : "find the holder of the lock in pg_locks and pg_prepared_xacts, and end it";
}

/** Reasons that a lock may cause: it delays a claim or a commit. */
const DELAYED_BY_LOCKS: readonly string[] = ["DISPATCH_DELAYED", "RESULT_PENDING"];

/** True when a lock in the database may cause one of the reasons. */
export function mayBeLocked(reasons: readonly Reason[]): boolean {
  return reasons.some(({ code }) => DELAYED_BY_LOCKS.includes(code));
}

/** The reasons, with the holder of the lock in those that it may cause. */
export function withLock(reasons: readonly Reason[], lock: DatabaseLock): Reason[] {
  return reasons.map((reason) =>
    DELAYED_BY_LOCKS.includes(reason.code)
      ? {
          ...reason,
          summary: `${reason.summary}; ${describeLock(lock)}`,
          evidence: [...reason.evidence, ...lockEvidence(lock)],
          remedy: `${lockRemedy(lock.holder?.pid)}; Muster then continues by itself`,
        }
      : reason,
  );
}

function describeHolder({ pid, application, state, ageMs }: LockHolder): string {
  const facts = [
    application || "unnamed",
    state,
    ageMs === undefined ? "" : `its transaction open for ${span(ageMs)}`,
  ];
  return `process ${pid} (${facts.filter((fact) => fact !== "").join(", ")})`;
}

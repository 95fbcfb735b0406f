import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ReasonCode } from "../explain/codes.ts";
import type { Reason } from "../explain/reason.ts";
import { DatabaseLockedError, describeLock, lockRemedy, mayBeLocked, withLock } from "./database-lock.ts";

const LOCK = {
  waitingCount: 2,
  waitMs: 3_400,
  holder: { pid: 4711, application: "psql", state: "idle in transaction", ageMs: 60_000 },
};

const reason = (code: ReasonCode): Reason => ({ code, summary: "it waits", evidence: [], remedy: "wait" });

describe("a lock of another session", () => {
  it("is described with the waiting statements, their time, and the holder", () => {
    assert.equal(
      describeLock(LOCK),
      "2 statements of Muster have waited for a lock, the first for 3.4 s, held by process 4711 (psql, idle in transaction, its transaction open for 60 s)",
    );
    assert.equal(new DatabaseLockedError(LOCK).message, describeLock(LOCK));
    assert.equal(
      lockRemedy(LOCK.holder.pid),
      "end the session that holds the lock: select pg_terminate_backend(4711)",
    );
  });

  it("is described without facts that the role may not read", () => {
    const hidden = { pid: 4711, application: "", state: "", ageMs: undefined };
    assert.match(
      describeLock({ ...LOCK, waitingCount: 1, holder: hidden }),
      /^1 statement of Muster has .+ held by process 4711 \(unnamed\)$/,
    );
    const prepared = { ...LOCK, holder: undefined };
    assert.match(describeLock(prepared), /held by a session that cannot be seen$/);
    assert.match(lockRemedy(undefined), /pg_prepared_xacts/);
  });

  it("is added to the reasons that it may cause, and to no other", () => {
    assert.ok(!mayBeLocked([reason("RUNNING")]));
    const reasons = [reason("RESULT_PENDING"), reason("WORKER_SUSPECT")];
    assert.ok(mayBeLocked(reasons));
    const [pending, suspect] = withLock(reasons, LOCK);
    assert.match(pending?.summary ?? "", /^it waits; 2 statements .* held by process 4711/);
    assert.deepEqual(
      pending?.evidence.map(({ key, value }) => `${key}=${value}`),
      ["waiting_statements=2", "locked_by_pid=4711", "locked_by=psql"],
    );
    assert.equal(suspect, reasons[1]);
  });
});

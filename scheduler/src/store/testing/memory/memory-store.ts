/** Puts the fakes of the roles together on shared tables. */

import type { StoreUnderTest } from "../conformance/store-under-test.ts";
import { MemoryAttempts } from "./memory-attempts.ts";
import { MemoryCircuits } from "./memory-circuits.ts";
import { MemoryClaims } from "./memory-claims.ts";
import { MemoryClasses } from "./memory-classes.ts";
import { MemoryDependencies } from "./memory-dependencies.ts";
import { MemorySchedules } from "./memory-schedules.ts";
import type { MemoryTables } from "./memory-tables.ts";

/** The fakes as the conformance cases and unit tests use them: the roles on shared tables. */
export function memoryStore(tables: MemoryTables) {
  const dependencies = new MemoryDependencies(tables);
  const claims = new MemoryClaims(tables, dependencies);
  return {
    classes: new MemoryClasses(tables),
    claims,
    dependencies,
    attempts: new MemoryAttempts(tables),
    circuits: new MemoryCircuits(tables),
    schedules: new MemorySchedules(tables, claims),
  };
}

/** The fakes under the conformance cases. */
export function memoryUnderTest(tables: MemoryTables, pass: (ms: number) => Promise<void>): StoreUnderTest {
  return {
    ...memoryStore(tables),
    openSession: async (schedulerId) => tables.openSession(schedulerId),
    endSession: async (sessionId) => tables.endSession(sessionId),
    async task(taskId) {
      const open = tables.open.get(taskId);
      const ended = tables.ended.get(taskId);
      const row = open ?? ended;
      if (!row) return undefined;
      return {
        state: row.state,
        detail: ended?.detail,
        epoch: row.epoch,
        attemptCount: row.attemptCount,
        outOfMemoryCount: row.outOfMemoryCount,
        classId: row.classId,
        sessionId: row.sessionId,
        failureCode: row.failure?.code,
        phase: open?.phase,
        progressMessage: row.progress?.message,
        sleeps: open?.wakeAt !== undefined,
        priorOutcomes: tables.attempts.filter((each) => each.taskId === taskId).map(({ outcome }) => outcome),
      };
    },
    async passOpening(key) {
      const { probeAt } = tables.circuits.get(key) ?? {};
      await pass((probeAt ?? 0) + 1 - tables.clock.now());
    },
    async passTick(name) {
      const { dueMs } = tables.schedules.get(name) ?? {};
      await pass((dueMs ?? 0) + 1 - tables.clock.now());
    },
    async passWait(taskId) {
      const { wakeAt, startDeadline } = tables.open.get(taskId) ?? {};
      await pass((wakeAt ?? startDeadline ?? 0) + 1 - tables.clock.now());
    },
    setRate: async (key, rate) => tables.buckets.override(key, rate),
    setPause: async (key, ms) => tables.buckets.pause(key, ms),
    passRefill: (_, ms) => pass(ms),
    makeOlder: pass,
  };
}

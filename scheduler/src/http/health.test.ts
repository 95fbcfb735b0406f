import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { Clock } from "../clock.ts";
import type { DatabaseAvailability } from "../domain/database/availability.ts";
import { DatabaseUnavailableError } from "../domain/errors.ts";
import { Health, type HealthParts, type LoopTicks } from "./health.ts";

/** Health over facts that the test sets, at a time that it sets. */
function health(facts: {
  loops?: readonly LoopTicks[];
  unavailable?: string;
  listening?: boolean;
  missing?: () => readonly string[];
  grpc?: string | undefined;
}) {
  let now = 0;
  const clock: Pick<Clock, "monotonic"> = { monotonic: () => now };
  const database: Pick<DatabaseAvailability, "runOnce" | "unavailable"> = {
    runOnce: async () => undefined,
    unavailable: facts.unavailable,
  };
  const stopping = new AbortController();
  const parts: HealthParts = {
    database,
    loops: facts.loops ?? [],
    clock,
    stopping: stopping.signal,
    listeners: () => ({ grpc: "grpc" in facts ? facts.grpc : "127.0.0.1:7070", http: "127.0.0.1:7071" }),
    listening: () => facts.listening ?? true,
    missingMigrations: async () => facts.missing?.() ?? [],
  };
  return {
    health: new Health(parts),
    at: (ms: number) => {
      now = ms;
    },
    stop: () => stopping.abort(),
  };
}

describe("liveness", () => {
  const loop = (facts: Partial<LoopTicks>): LoopTicks => ({
    name: "recovery",
    intervalMs: 5_000,
    lastTickAt: 0,
    lastError: undefined,
    ...facts,
  });

  it("fails with the name of the loop that does not run", () => {
    const { health: subject, at } = health({
      loops: [loop({}), loop({ name: "renew", lastTickAt: 25_000 })],
    });
    at(30_000);
    assert.equal(subject.live().ok, true);
    at(30_001);
    const report = subject.live();
    assert.deepEqual([report.ok, report.failed], [false, ["loop:recovery"]]);
    assert.match(report.checks["loop:recovery"]?.detail ?? "", /30001 ms ago, at most 30000 ms allowed/);
  });

  it("gives a slow loop three of its intervals", () => {
    const { health: subject, at } = health({ loops: [loop({ name: "retention", intervalMs: 3_600_000 })] });
    at(3 * 3_600_000);
    assert.equal(subject.live().ok, true);
    at(3 * 3_600_000 + 1);
    assert.deepEqual(subject.live().failed, ["loop:retention"]);
  });

  it("counts a failing loop as alive, and one that hangs after a failure as dead", () => {
    const lastError = new DatabaseUnavailableError("gone", false, undefined);
    const { health: subject, at } = health({ loops: [loop({ lastTickAt: 50_000, lastError })] });
    at(60_000);
    assert.equal(subject.live().ok, true);
    at(90_000);
    assert.equal(subject.live().ok, false);
  });

  it("measures a loop that never came round from the start", () => {
    const { health: subject, at } = health({ loops: [loop({ lastTickAt: undefined })] });
    at(29_000);
    assert.equal(subject.live().ok, true);
    at(31_000);
    assert.equal(subject.live().ok, false);
  });
});

describe("readiness", () => {
  it("lists every check", async () => {
    const report = await health({}).health.ready();
    assert.equal(report.ok, true);
    assert.deepEqual(Object.keys(report.checks), [
      "database",
      "migrations",
      "notifications",
      "grpc",
      "http",
      "stopping",
    ]);
  });

  it("names the database, a listener, the stop", async () => {
    const away = await health({ unavailable: "no answer" }).health.ready();
    assert.deepEqual(away.failed, ["database"]);
    assert.equal(away.checks.database?.detail, "DATABASE_UNAVAILABLE: no answer");
    assert.deepEqual((await health({ grpc: undefined }).health.ready()).failed, ["grpc"]);
    const stopped = health({});
    stopped.stop();
    assert.deepEqual((await stopped.health.ready()).failed, ["stopping"]);
  });

  it("bears missing notifications for ten seconds", () => {
    const { health: subject, at } = health({ listening: false });
    at(1_000);
    assert.equal(subject.readyAsKnown().ok, true);
    at(10_999);
    assert.equal(subject.readyAsKnown().ok, true);
    at(11_000);
    assert.deepEqual(subject.readyAsKnown().failed, ["notifications"]);
  });

  it("looks at the schema every five seconds, and says what is missing", async () => {
    let looks = 0;
    const { health: subject, at } = health({
      missing: () => {
        looks++;
        return ["0002_launches"];
      },
    });
    at(4_999);
    assert.equal((await subject.ready()).ok, true);
    at(5_000);
    const report = await subject.ready();
    assert.deepEqual(report.failed, ["migrations"]);
    assert.match(report.checks.migrations?.detail ?? "", /0002_launches: run muster migrate/);
    at(6_000);
    await subject.ready();
    assert.equal(looks, 1);
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { shortageOf } from "../database/connection-limits.ts";
import type { SomeModes } from "../mechanisms/mechanism.ts";
import type { DatabaseReport, SchedulerReport } from "../reports.ts";
import type { Check } from "./check.ts";
import { DATABASE_CHECKS, databaseAway, databaseChecks } from "./database.ts";
import { databaseClock, schedulerChecks } from "./schedulers.ts";

const NOW = new Date("2026-01-02T12:00:00Z");
const ago = (ms: number) => new Date(NOW.getTime() - ms);

/** The checks that found something, `status name: summary`. */
function wrong(checks: readonly Check[]): string[] {
  return checks
    .filter(({ status }) => status !== "ok")
    .map(({ status, name, summary, remedy }) => {
      assert.ok(status === "skipped" || status === "note" || remedy !== "", `${name} has no remedy`);
      return `${status} ${name}: ${summary}`;
    });
}

const DATABASE: DatabaseReport = {
  version: "18.1",
  readOnly: false,
  replica: false,
  missingMigrations: [],
  foreignMigrations: [],
  connections: { used: 12, allowed: 97 },
  connectionShortage: undefined,
  oldestTransaction: undefined,
  blocked: [],
  fsync: true,
  synchronousCommit: "on",
  partitionsAhead: true,
  replicas: [],
  oldestCommandAgeMs: undefined,
};
const OPEN = { ageMs: 3_600_000, pid: 9, application: "", state: "idle in transaction" };
const WAITS = { waitMs: 4_000, statement: "update task", byPid: 7, byApplication: "psql" };
/** Four connections of the role are this scheduler's, and five others'. */
const shortage = (limit: number) =>
  shortageOf(
    [{ of: "the role m", limit, used: 9, raise: "ALTER ROLE m CONNECTION LIMIT" }],
    { own: 4, most: 28 },
    28,
  );
const REPLICAS = [
  { name: "far", lagBytes: 2e9 },
  { name: "near", lagBytes: 0 },
];

describe("the checks of a database", () => {
  const look = (report: Partial<DatabaseReport>, latency = { readMs: 1, writeMs: 2 }) =>
    wrong(databaseChecks({ ...DATABASE, ...report }, latency)).join("; ");

  it("find nothing in one that is well, and each fault by its name", () => {
    assert.equal(look({}), "");
    assert.equal(look({ oldestTransaction: { ...OPEN, ageMs: 60_000 } }), "");
    const cases: readonly (readonly [Partial<DatabaseReport>, RegExp])[] = [
      [{ readOnly: true }, /^failed database\.writable: .*set read-only$/],
      [{ replica: true }, /^failed database\.writable: .*a replica; skipped database\.replicas/],
      [{ missingMigrations: ["0003_refusals"] }, /^failed database\.migrations: .*lacks 1 migration/],
      [{ foreignMigrations: ["0009_later"] }, /^failed database\.migrations: .*0009_later$/],
      [{ connections: { used: 85, allowed: 97 } }, /^warning database\.connections: .*12 are free/],
      [{ connections: { used: 97, allowed: 97 } }, /^failed database\.connections: .*: 0 are free/],
      [
        { connectionShortage: shortage(20) },
        /^warning database\.connections: the connection limit of the role m is 20, 9 of them are open, and a scheduler needs at least 8 \(up to 28\)$/,
      ],
      [{ connectionShortage: shortage(9) }, /^failed database\.connections: .* of the role m is 9,/],
      [{ blocked: [WAITS] }, /^failed database\.locks: 1 statement .* 4 s, held by process 7 \(psql\)$/],
      [{ oldestTransaction: OPEN }, /^warning database\.transactions: .*process 9 .* 60 min/],
      [
        { fsync: false, synchronousCommit: "off" },
        /^warning database\.durability: fsync and synchronous_commit/,
      ],
      [{ partitionsAhead: false }, /^warning database\.partitions/],
      [{ replicas: REPLICAS }, /^warning database\.replicas: 1 of 2 replicas is/],
      [{ oldestCommandAgeMs: 60_000 }, /^warning database\.commands/],
    ];
    for (const [report, says] of cases) assert.match(look(report), says);
    assert.match(
      look({}, { readMs: 300, writeMs: 2 }),
      /^warning database\.reachable: .* 300 ms, which is slow$/,
    );
    assert.match(look({}, { readMs: 1, writeMs: 1_500 }), /^warning database\.writable: .* 1\.5 s/);
  });

  it("say of one that is away that nothing else could be looked at", () => {
    const checks = databaseAway("connection refused", "unreachable");
    assert.deepEqual(
      checks.map(({ name }) => name),
      [...DATABASE_CHECKS],
    );
    assert.equal(checks[0]?.status, "failed");
    assert.ok(checks.slice(1).every(({ status }) => status === "skipped"));
  });

  it("T6: name a full disk as what it is: the database answers and takes no writes", () => {
    const checks = databaseAway("the disk of the database is full", "disk_full");
    const [reachable, writable] = checks;
    assert.deepEqual([reachable?.status, writable?.status], ["ok", "failed"]);
    assert.match(writable?.remedy ?? "", /^free space on the disk/);
  });
});

describe("the checks of schedulers", () => {
  const status = { httpAddress: "", wallTime: ago(1_000).getTime(), timings: "same", loops: [] };
  const scheduler = (id: string, fields: Partial<SchedulerReport> = {}): SchedulerReport => ({
    id,
    address: `${id}:7070`,
    version: "0.1.0",
    startTime: ago(3_600_000),
    announceTime: ago(1_000),
    leaseUntil: ago(-29_000),
    status,
    ...fields,
  });
  const look = (...others: SchedulerReport[]) => {
    const self = scheduler("a");
    return wrong(schedulerChecks({ self, all: [self, ...others], now: NOW })).join("; ");
  };
  const withLoops = (...loops: { name: string; intervalMs: number; ageMs: number; error?: string }[]) =>
    scheduler("b", { status: { ...status, loops: loops.map((loop) => ({ error: "", ...loop })) } });

  it("find one that fell silent, but not one that was restarted", () => {
    const dead = scheduler("b", { announceTime: ago(300_000), leaseUntil: ago(270_000) });
    const says = /^failed schedulers\.alive: scheduler b at b:7070 has said nothing for 5 min/;
    assert.equal(look(scheduler("c")), "");
    assert.match(look(dead), says);
    assert.equal(look(dead, scheduler("b2", { address: dead.address, startTime: ago(100_000) })), "");
    assert.match(look(dead, scheduler("c", { address: dead.address })), says, "it was there before");
  });

  it("find loops that are late or fail, of any scheduler, by their own interval", () => {
    assert.equal(look(withLoops({ name: "retention", intervalMs: 3_600_000, ageMs: 3_000_000 })), "");
    assert.equal(look(withLoops({ name: "deadlines", intervalMs: 100, ageMs: 4_000 })), "");
    const late = withLoops(
      { name: "poll", intervalMs: 1_000, ageMs: 9_000 },
      { name: "renew", intervalMs: 5_000, ageMs: 42_000 },
    );
    assert.match(
      look(late),
      /^failed loops\.running: loop renew of b last ran 42 s ago and is due every 5 s, and 1 more loop/,
    );
    const failing = withLoops({ name: "poll", intervalMs: 1_000, ageMs: 100, error: "no such column" });
    assert.match(look(failing), /^warning loops\.running: .*poll of b failed: no such column/);
  });

  it("list the modes that are not act, and warn of schedulers with different ones", () => {
    const found = (mine: SomeModes, others: SomeModes, queueModes = new Map<string, SomeModes>()) => {
      const report = (id: string, modes: SomeModes) => scheduler(id, { status: { ...status, modes } });
      const self = report("a", mine);
      const all = [self, report("b", others)];
      return schedulerChecks({ self, all, queueModes, now: NOW }).find(
        ({ name }) => name === "configuration.modes",
      );
    };
    assert.equal(found({}, { recovery: "act" })?.status, "ok");
    const same = found({ recovery: "observe" }, { recovery: "observe" });
    assert.deepEqual(
      [same?.status, same?.summary],
      ["note", "mechanisms do not act at scheduler a: recovery observe; scheduler b: recovery observe"],
    );
    const differ = found({ recovery: "observe" }, {});
    assert.deepEqual([differ?.status, differ?.evidence.length], ["warning", 2]);
    const queue = found({}, {}, new Map([["nightly", { poison: "off" }]]));
    assert.deepEqual(
      [queue?.status, queue?.summary],
      ["note", "mechanisms do not act at queue nightly: poison off"],
    );
  });

  it("find clocks, versions and timings that differ", () => {
    const other = { ...status, timings: "other", wallTime: ago(-60_000).getTime() };
    const found = look(scheduler("b", { version: "0.2.0", status: other }));
    assert.match(found, /warning clocks\.schedulers: the clock of b is 61 s ahead/);
    assert.match(found, /warning versions\.schedulers: .*0\.1\.0, 0\.2\.0/);
    assert.match(found, /warning configuration\.timings/);
    assert.equal(databaseClock(1_900, 5).status, "ok");
    assert.equal(databaseClock(-2_100, 200).status, "ok", "no more exact than the read was quick");
    assert.match(databaseClock(-3_600_000, 5).summary, /60 min behind the database/);
  });
});

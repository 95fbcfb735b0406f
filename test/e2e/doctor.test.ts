import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { fromJsonString } from "@bufbuild/protobuf";
import { type Check, CheckStatus, type Diagnosis, DiagnosisSchema } from "@muster/protocol";
import { migrateDatabase } from "@muster/scheduler";
import { lockTable } from "../support/database/locker.ts";
import { startServer, type TestServer } from "../support/database/server.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { RawWorker } from "../support/peers/raw-worker.ts";
import { type Exit, killAll, Program } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { startTestScheduler } from "../support/programs/scheduler.ts";
import { until } from "../support/waits.ts";

const TOKEN = "doctors-token";

async function doctor(scheduler: string, args: readonly string[] = [], token = TOKEN) {
  const program = Program.start("muster doctor", "../../cli/bin/muster.js", {
    base: import.meta.url,
    args: ["doctor", "--scheduler", scheduler, ...args],
    env: { MUSTER_TOKEN: token },
  });
  const exit: Exit = await program.ended;
  return { code: exit.code, text: program.stdout, stderr: program.stderr };
}

async function diagnosed(scheduler: string, args: readonly string[] = [], token = TOKEN) {
  const { code, text, stderr } = await doctor(scheduler, ["--json", ...args], token);
  assert.equal(stderr, "");
  return { code, diagnosis: fromJsonString(DiagnosisSchema, text) };
}

function check(diagnosis: Diagnosis, name: string): Check {
  const found = diagnosis.checks.find((each) => each.name === name);
  assert.ok(found, `no check ${name}; there are ${diagnosis.checks.map((each) => each.name).join(", ")}`);
  return found;
}

describe("muster doctor", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start({ schedulers: 2, token: TOKEN, args: ["--keep-days", "3"] });
    await fleet.worker("well");
  });
  after(async () => {
    await killAll();
    await fleet.stop();
  });

  const both = () => fleet.schedulers.map(({ grpc }) => grpc).join(",");

  const wrong = (diagnosis: Diagnosis) =>
    diagnosis.checks
      .filter(({ status }) => status === CheckStatus.WARNING || status === CheckStatus.FAILED)
      .map(({ name, summary }) => `${name}: ${summary}`);

  /** Looks until the check is wrong; answers it. */
  async function finds(name: string, scheduler = fleet.scheduler.grpc): Promise<Check> {
    const value = await until(`${name} is found`, async () => {
      const { code, diagnosis } = await diagnosed(scheduler);
      const found = diagnosis.checks.find((each) => each.name === name);
      if (found?.status !== CheckStatus.WARNING && found?.status !== CheckStatus.FAILED) return undefined;
      assert.equal(code, 1);
      assert.notEqual(found.remedy, "");
      return found;
    });
    return value;
  }

  it("says that a healthy fleet is well, with 0, and where each setting comes from", async () => {
    const { code, diagnosis } = await diagnosed(both());
    assert.deepEqual(wrong(diagnosis), []);
    assert.equal(code, 0);
    assert.match(check(diagnosis, "database.reachable").summary, /^PostgreSQL \d+.* answers in \d+ ms$/);
    assert.match(check(diagnosis, "schedulers.alive").summary, /^2 schedulers live$/);
    assert.match(check(diagnosis, "loops.running").summary, /^\d+ loops of 2 schedulers run on time$/);
    assert.match(check(diagnosis, "workers.answering").summary, /^1 worker answer/);
    const settings = new Map(
      diagnosis.settings.map(({ name, value, source }) => [name, `${value} ${source}`]),
    );
    assert.equal(settings.get("keep-days"), "3 flag");
    assert.equal(settings.get("token"), "(set, not shown) environment");
    assert.equal(settings.get("hello-timeout"), "15 default");
    assert.match(settings.get("database-url") ?? "", /^postgres(ql)?:\/\/[^ ]+ environment$/);
    const password = new URL(fleet.db.url).password;
    const { code: plainCode, text } = await doctor(fleet.scheduler.grpc);
    assert.equal(plainCode, 0);
    assert.match(text, /^ok\tloops\.running\t/m);
    assert.match(text, /^setting\tkeep-days\t3\tflag$/m);
    assert.ok(!text.includes(TOKEN) && (password === "" || !text.includes(password)), "a secret was shown");
  });

  it("says which workers dial the default address, and what each worker runs with", async () => {
    const stray = new RawWorker(fleet.scheduler.grpc, {
      token: TOKEN,
      hello: { settings: [{ name: "scheduler", value: "127.0.0.1:7070", source: "default" }] },
    });
    stray.hello();
    await stray.next("welcome");
    const { code, diagnosis } = await diagnosed(fleet.scheduler.grpc);
    const found = check(diagnosis, "workers.addresses");
    assert.deepEqual([code, found.status], [0, CheckStatus.NOTE]);
    assert.match(found.summary, /^1 worker dials 127\.0\.0\.1:7070, the default/);
    assert.match(found.remedy, /MUSTER_SCHEDULER_ADDR/);
    stray.cut();
    const args = ["worker", "well", "--settings"];
    const well = await runMuster(fleet.scheduler.grpc, args, { MUSTER_TOKEN: TOKEN });
    assert.match(well.stdout, /^setting\ttoken\t\(set, not shown\)\t(?:environment|option)$/m);
    assert.match(well.stdout, /^setting\tdrainTimeoutS\t30\tdefault$/m);
    assert.ok(!well.stdout.includes(TOKEN), "a secret was shown");
  });

  it("reports a wrong token with 4, and an unreachable scheduler with 5 and what was tried", async () => {
    const refused = await diagnosed(fleet.scheduler.grpc, [], "wrong");
    assert.equal(refused.code, 4);
    assert.match(check(refused.diagnosis, "connection.scheduler").summary, /INVALID_TOKEN/);
    const away = await diagnosed("127.0.0.1:1", ["--http", fleet.scheduler.http.replace("http://", "")]);
    assert.equal(away.code, 5);
    assert.match(check(away.diagnosis, "connection.port").summary, /ECONNREFUSED/);
    assert.match(check(away.diagnosis, "connection.http").summary, /livez answers 200; \/readyz answers 200/);
    const nowhere = await diagnosed("no-such-host.invalid:7070");
    assert.equal(nowhere.code, 5);
    assert.match(check(nowhere.diagnosis, "connection.address").summary, /cannot be resolved/);
    const half = await diagnosed(`127.0.0.1:1,${fleet.scheduler.grpc}`);
    assert.equal(half.code, 1, "one of two addresses is dead");
    assert.equal(check(half.diagnosis, "database.reachable").status, CheckStatus.OK);
  });

  it("finds a migration that is missing", async () => {
    const rows = await fleet.db.query<{ number: number; name: string; checksum: string }>(
      "delete from migration where number = (select max(number) from migration) returning number, name, checksum",
    );
    try {
      const found = await finds("database.migrations");
      assert.ok(rows[0]?.name && found.summary.includes(rows[0].name), found.summary);
      assert.match(found.summary, /lacks 1 migration /);
      assert.match(found.remedy, /muster migrate/);
    } finally {
      for (const { number, name, checksum } of rows)
        await fleet.db.query("insert into migration (number, name, checksum) values ($1, $2, $3)", [
          number,
          name,
          checksum,
        ]);
    }
  });

  it("finds tasks without a worker, stuck tasks, and rejected workers", async () => {
    const gate = fleet.gate();
    const orphan = await fleet.client.submit("orphan", {}, { queue: "forgotten" });
    const held = await fleet.client.submit("gate", { gate: gate.path }, { watchdogs: { runS: 0.5 } });
    await fleet.eventually(held.id, "accepted");
    const refused = await fleet.worker("stranger", { env: { MUSTER_TOKEN: "wrong" }, waitReady: false });
    await refused.ended;
    await fleet.db.query("update task set create_time = now() - interval '20 minutes'");
    await fleet.db.query("update task set start_time = now() - interval '6 minutes' where state = 2");
    const unserved = await finds("work.unserved");
    assert.match(unserved.summary, /^1 task waits .* orphan in queue forgotten, has waited for 20 min/);
    const stuck = await finds("work.stuck");
    assert.match(stuck.summary, new RegExp(`${held.id} \\(gate\\) on well, .* for 6(\\.\\d)? min`));
    assert.match((await finds("workers.refused")).summary, /^1 worker was refused .*stranger.*BAD_TOKEN/);
    gate.open();
    await held.result();
    await orphan.cancel();
  });

  it("finds a loop that hangs, and what it waits for", async () => {
    const locker = await lockTable(fleet.db.url, "session_lease");
    try {
      const locks = await finds("database.locks");
      assert.match(locks.summary, /held by process \d+ \(the locker\)/);
      assert.match(
        (await finds("loops.running")).summary,
        /^loop \w+ of .* last ran .* ago and is due every/,
      );
      // One is late before the others are.
      await until("the loops that need the table are named", async () => {
        const { evidence } = await finds("loops.running");
        return evidence.some(({ value }) => /^(renew|recovery) of /.test(value)) ? true : undefined;
      });
    } finally {
      await locker.release();
    }
  });

  it("finds a scheduler that has fallen silent, and says of one alone that it hangs", async () => {
    const third = await startTestScheduler({ databaseUrl: fleet.db.url, env: { MUSTER_TOKEN: TOKEN } });
    third.program.kill("SIGSTOP");
    const found = await finds("schedulers.alive");
    assert.match(found.summary, new RegExp(`^scheduler ${third.id} at .* has said nothing for`));
    const alone = await diagnosed(third.grpc, ["--timeout", "1s"]);
    assert.equal(alone.code, 5);
    assert.match(
      check(alone.diagnosis, "connection.scheduler").summary,
      /its port is open: the process is stopped/,
    );
    assert.equal(check(alone.diagnosis, "connection.port").status, CheckStatus.OK);
    await third.program.end("SIGKILL");
  });
});

describe("muster doctor without a database", () => {
  let server: TestServer;
  let fleet: Fleet;

  before(async () => {
    server = await startServer();
    await migrateDatabase(server.url);
    const database = { url: server.url, query: () => Promise.resolve([]), drop: () => server.remove() };
    fleet = await Fleet.start({ database });
  });
  after(async () => {
    await killAll();
    await fleet.stop();
  });

  it("says that it is the database, and shows the configuration all the same", async () => {
    await server.postgres.stop();
    const value = await until("the database is found away", async () => {
      const found = await diagnosed(fleet.scheduler.grpc);
      return check(found.diagnosis, "database.reachable").status === CheckStatus.FAILED ? found : undefined;
    });
    assert.equal(value.code, 1);
    assert.match(check(value.diagnosis, "database.reachable").summary, /^DATABASE_UNAVAILABLE: /);
    assert.equal(check(value.diagnosis, "database.migrations").status, CheckStatus.SKIPPED);
    assert.equal(check(value.diagnosis, "connection.scheduler").status, CheckStatus.OK);
    assert.ok(value.diagnosis.settings.some(({ name }) => name === "database-url"));
  });
});

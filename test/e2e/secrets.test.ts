import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Client } from "@muster/worker/client";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, startTestWorker } from "../support/programs/scheduler.ts";

const TOKEN = "token-8c1f0d-secret";
const PAYLOAD = "payload-5be2a7-secret";

describe("secrets", () => {
  let db: TestDatabase;

  before(async () => {
    db = await createDatabase();
  });

  after(async () => {
    await killAll();
    await db.drop();
  });

  it("are in no line of any log at debug, whatever goes wrong", async () => {
    const secret = { MUSTER_TOKEN: TOKEN };
    const scheduler = await startTestScheduler({ databaseUrl: db.url, args: ["--verbose"], env: secret });
    const worker = await startTestWorker({ scheduler: scheduler.grpc, id: "careful", env: secret });
    const intruder = await startTestWorker({
      scheduler: scheduler.grpc,
      id: "intruder",
      env: { MUSTER_TOKEN: `wrong-${TOKEN}` },
      waitReady: false,
    });
    const client = new Client({ scheduler: scheduler.grpc, token: TOKEN });
    try {
      assert.equal(await (await client.submit("echo", PAYLOAD)).result(), PAYLOAD);
      const broken = await client.submit("echo", Buffer.from(`{"${PAYLOAD}`), {
        contentType: "application/json",
      });
      await assert.rejects(broken.result());
      await assert.rejects((await client.submit("refuse", { secret: PAYLOAD })).result());
      await assert.rejects((await client.submit("big", { bytes: 2_000_000, secret: PAYLOAD })).result());
      const crash = await client.submit("crash", { secret: PAYLOAD });
      await worker.line("worker.fatal");
      const other = await startTestWorker({ scheduler: scheduler.grpc, id: "other", env: secret });
      await crash.result();
      await intruder.ended;
      await other.end();
      await scheduler.program.end();
      const { password } = new URL(db.url);
      for (const program of [scheduler.program, worker, other, intruder]) {
        const log = program.stdout + program.stderr;
        assert.ok(
          log.includes('"level":"debug"') || program === intruder,
          `${program.name} has no debug lines`,
        );
        for (const word of [TOKEN, PAYLOAD, password]) {
          if (word === "") continue;
          assert.ok(!log.includes(word), `${program.name}: ${line(log, word)}`);
        }
      }
    } finally {
      client.close();
    }
  });
});

function line(log: string, word: string): string {
  return log.split("\n").find((text) => text.includes(word)) ?? "";
}

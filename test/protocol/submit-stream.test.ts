import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { BadRequestSchema, ErrorInfoSchema, type SubmitRefused, TaskSpecSchema } from "@muster/protocol";
import { Client, MusterError } from "@muster/worker/client";
import { lockTable } from "../support/database/locker.ts";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { RawSubmits } from "../support/peers/raw-submits.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, type TestScheduler } from "../support/programs/scheduler.ts";
import { Random } from "../support/random.ts";
import { hostileMessage } from "./hostile.ts";

/** Streams that end with a message above the limit while answers to the requests before it are on their way. */
const TOO_LARGE_AMID_ANSWERS = 20;

/** More than a stream may have open at once. */
const MANY = 5_000;

const TASK = { taskType: "noop", payload: Buffer.from("{}") };

describe("protocol: SubmitStream", () => {
  let db: TestDatabase;
  let scheduler: TestScheduler;

  before(async () => {
    db = await createDatabase();
    scheduler = await startTestScheduler({ databaseUrl: db.url });
  });
  after(async () => {
    await killAll();
    await db.drop();
  });

  async function count(type: string): Promise<number> {
    const [row] = await db.query(
      `select count(*)::int as count from muster.task t join muster.task_class c on c.id = t.class_id
        where c.type = '${type}'`,
    );
    return Number(row?.count);
  }

  /** Waits until an insert of tasks waits for a lock: other statements of the scheduler wait for the table too. */
  async function insertWaits(): Promise<void> {
    const waiting = `select 1 from pg_stat_activity where datname = current_database()
                        and wait_event_type = 'Lock' and query like '%insert into task (%'`;
    while ((await db.query(waiting)).length === 0);
  }

  it("accepts or refuses each request by itself, durably, and ends when the caller does", async () => {
    const stream = new RawSubmits(scheduler.grpc);
    stream.send({ requestId: 7n, submit: { tasks: [{ ...TASK, taskType: "a", uniqueKey: "k" }, TASK] } });
    stream.send({ requestId: 8n, submit: { tasks: [{ ...TASK, taskType: "" }] } });
    stream.send({ requestId: -1n });
    stream.send({ requestId: 9n, submit: { tasks: [{ ...TASK, taskType: "a", uniqueKey: "k" }] } });
    stream.end();
    assert.equal((await stream.ended).code, status.OK);
    const accepted = await stream.answer(7n);
    assert.ok(accepted.case === "accepted");
    assert.equal(accepted.value.tasks.length, 2);
    assert.equal(await count("a"), 1);
    const again = await stream.answer(9n);
    const duplicates = [accepted, again].map(
      ({ case: kind, value }) => kind === "accepted" && value.tasks[0]?.duplicate,
    );
    assert.deepEqual(duplicates.toSorted(), [false, true], "the key holds across requests");
    const refused = await stream.answer(8n);
    assert.ok(refused.case === "refused");
    assert.equal(refused.value.code, status.INVALID_ARGUMENT);
    assert.equal(reason(refused.value), "INVALID_TASK");
    const violations = refused.value.details.map((each) => anyUnpack(each, BadRequestSchema)).find(Boolean);
    assert.equal(violations?.fieldViolations[0]?.field, "tasks[0].task_type");
    const empty = await stream.answer(-1n);
    assert.ok(empty.case === "refused" && empty.value.code === status.INVALID_ARGUMENT);
  });

  it("answers everything that is sent without waiting", async () => {
    const stream = new RawSubmits(scheduler.grpc);
    for (let id = 1; id <= MANY; id++) {
      stream.send({ requestId: BigInt(id), submit: { tasks: [{ ...TASK, taskType: "many" }] } });
    }
    stream.end();
    assert.equal((await stream.ended).code, status.OK);
    assert.equal(stream.answers.filter(({ outcome }) => outcome.case === "accepted").length, MANY);
    assert.equal(new Set(stream.answers.map(({ requestId }) => requestId)).size, MANY);
    assert.equal(await count("many"), MANY);
  });

  it("ends on bytes that are no request and on an id that is in use, after answering what came before", async () => {
    const broken = new RawSubmits(scheduler.grpc);
    broken.send({ requestId: 1n, submit: { tasks: [{ ...TASK, taskType: "before" }] } });
    broken.bytes(Buffer.from([0xff, 0xff, 0xff]));
    broken.send({ requestId: 2n, submit: { tasks: [{ ...TASK, taskType: "behind" }] } });
    const end = await broken.ended;
    assert.deepEqual([end.code, end.reason], [status.INVALID_ARGUMENT, "INVALID_MESSAGE"], end.details);
    assert.equal((await broken.answer(1n)).case, "accepted");
    assert.equal(await count("behind"), 0, "what follows is not applied");
    const locker = await lockTable(db.url, "task");
    const twice = new RawSubmits(scheduler.grpc);
    twice.send({ requestId: 3n, submit: { tasks: [TASK] } });
    twice.send({ requestId: 3n, submit: { tasks: [TASK] } });
    await insertWaits();
    await locker.release();
    const { reason: why, details } = await twice.ended;
    assert.deepEqual([why, /request_id 3 /.test(details)], ["INVALID_MESSAGE", true], details);
    assert.equal((await twice.answer(3n)).case, "accepted");
  });

  it("ends on a message above the limit although answers are on their way", async () => {
    for (let seed = 0; seed < TOO_LARGE_AMID_ANSWERS; seed++) {
      const random = new Random(seed);
      const stream = new RawSubmits(scheduler.grpc);
      for (let n = random.int(1, 30); n > 0; n--) {
        // Most are refused, with answers of any size; none ends the stream.
        const tasks = Array.from({ length: random.int(0, 3) }, () =>
          hostileMessage(TaskSpecSchema, random, { texts: ["default"] }),
        );
        stream.send({ requestId: BigInt(n), submit: { tasks } });
      }
      stream.bytes(Buffer.alloc(5 * 1024 * 1024, 0x0a));
      stream.end();
      const end = await stream.ended;
      assert.equal(end.code, status.RESOURCE_EXHAUSTED, `seed ${seed}: ${end.details}`);
    }
  });

  it("asks for the token; the SDK's client gets that error", async () => {
    const guarded = await startTestScheduler({ databaseUrl: db.url, env: { MUSTER_TOKEN: "secret" } });
    const wrong = await new RawSubmits(guarded.grpc, "guess").ended;
    assert.deepEqual([wrong.code, wrong.reason], [status.UNAUTHENTICATED, "INVALID_TOKEN"]);
    const right = new RawSubmits(guarded.grpc, "secret");
    right.send({ requestId: 1n, submit: { tasks: [TASK] } });
    assert.equal((await right.answer(1n)).case, "accepted");
    right.end();
    using client = new Client({ scheduler: guarded.grpc, token: "guess" });
    for (let submit = 0; submit < 5; submit++) {
      await assert.rejects(
        client.submit("noop"),
        (error) => error instanceof MusterError && error.reason === "INVALID_TOKEN",
      );
    }
  });

  it("a scheduler that stops answers what it has read, then ends the stream and says that it stops", async () => {
    const stopped = await startTestScheduler({ databaseUrl: db.url });
    const stream = new RawSubmits(stopped.grpc);
    stream.send({ requestId: 1n, submit: { tasks: [TASK] } });
    assert.equal((await stream.answer(1n)).case, "accepted");
    const locker = await lockTable(db.url, "task");
    stream.send({ requestId: 2n, submit: { tasks: [{ ...TASK, taskType: "late" }] } });
    await insertWaits();
    stopped.program.kill("SIGTERM");
    await stopped.program.line("scheduler.stopping");
    await locker.release();
    const end = await stream.ended;
    assert.deepEqual([end.code, end.reason], [status.UNAVAILABLE, "SCHEDULER_STOPPING"], end.details);
    assert.equal((await stream.answer(2n)).case, "accepted");
    assert.equal(await count("late"), 1);
    assert.equal((await stopped.program.ended).code, 0);
  });
});

function reason(refused: SubmitRefused): string | undefined {
  return refused.details.map((each) => anyUnpack(each, ErrorInfoSchema)).find(Boolean)?.reason;
}

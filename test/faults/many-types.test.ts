import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { ListQueuesResponseSchema } from "@muster/protocol";
import { createDatabase } from "../support/database/postgres.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { longTurns, MEASURED_LOOP } from "../support/programs/loop-turns.ts";
import { killAll } from "../support/programs/program.ts";

const TYPES = 60_000;

/** No call holds the scheduler's loop for longer, milliseconds of processor time. */
const TURN_MS = 50;

/** The largest message that a client takes by default. */
const MESSAGE_BYTES = 4 * 1024 * 1024;

/** As the scheduler makes classes: the key is a hash of the canonical form. */
const CLASSES = `insert into task_class (key, queue, type)
  select sha256(convert_to(format('["%s","%s",[],[]]', queue, type), 'utf8')), queue, type
    from (select 'wide' as queue, format('type-%s-%s', n, repeat('x', 60)) as type from generate_series(1, $1::int) n) t`;

describe("T39: 60,000 task types in one queue", () => {
  let fleet: Fleet;

  before(async () => {
    const database = await createDatabase();
    await database.query("insert into queue (name) values ('wide')");
    await database.query(CLASSES, [TYPES]);
    await database.query(
      "insert into task (class_id, priority, state, payload) select id, 0, 0, '{}' from task_class",
    );
    fleet = await Fleet.start({ database, env: MEASURED_LOOP, args: ["--poll-interval", "1"] });
  });
  after(async () => {
    await killAll();
    await fleet.stop();
  });

  it("leaves the loop free whatever is asked, and answers with the first types and their number", async () => {
    const { fleet: api, tasks } = fleet.client;
    const queue = "wide";
    const calls: Record<string, () => Promise<unknown>> = {
      nothing: () =>
        fleet.scheduler.program.line("monitor", undefined, { after: fleet.scheduler.program.mark() }),
      ListQueues: () => api.listQueues({}),
      PauseQueue: () => api.pauseQueue({ queue, reason: "full" }),
      ResumeQueue: () => api.resumeQueue({ queue }),
      GetOverview: () => api.getOverview({}),
      ExplainQueue: () => api.explainQueue({ queue }),
      ExplainTask: () => tasks.explainTask({ taskId: "t-1" }),
      Diagnose: () => api.diagnose({}),
      ListTasks: () => tasks.listTasks({ queue, pageSize: 1_000 }),
      ListEvents: () => api.listEvents({ pageSize: 1_000 }),
    };
    assert.deepEqual(await longTurns(fleet.scheduler.program, calls, () => TURN_MS), []);
    const answer = await api.listQueues({});
    const bytes = toBinary(ListQueuesResponseSchema, create(ListQueuesResponseSchema, answer)).byteLength;
    assert.ok(bytes < MESSAGE_BYTES, `${bytes} bytes`);
    const [wide] = answer.queues;
    assert.equal(wide?.name, "wide");
    assert.equal(wide?.readyCount, BigInt(TYPES));
    assert.equal(wide?.taskTypeCount, BigInt(TYPES));
    assert.equal(wide?.taskTypes.length, 50);
    const paused = await api.pauseQueue({ queue, reason: "again" });
    assert.equal(paused.queue?.taskTypeCount, BigInt(TYPES));
    const { overview } = await api.getOverview({});
    assert.equal(overview?.queues[0]?.queue?.readyCount, BigInt(TYPES));
  });

  it("makes 5,000 queues of one submit in a few statements", async () => {
    const statements = async () => {
      const text = await (await fetch(`${fleet.scheduler.http}/metrics`)).text();
      return Number(/^muster_db_statement_seconds_count\{pool="cold"\S* (\d+)/m.exec(text)?.[1]);
    };
    const before = await statements();
    const specs = Array.from({ length: 5_000 }, (_, n) => ({ type: "t", queue: `queue-${n}`, payload: {} }));
    await fleet.client.submitMany(specs);
    // 15,000 of them when each class was made by itself; the loops ask meanwhile.
    const asked = (await statements()) - before;
    assert.ok(asked < 500, `${asked} statements`);
    const [row] = await fleet.db.query<{ count: string }>("select count(*) from queue");
    assert.equal(Number(row?.count), 5_001);
  });
});

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { GetTaskResponseSchema, ListTasksResponseSchema, TaskState } from "@muster/protocol";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, Program } from "../support/programs/program.ts";

/** The largest message that a client takes by default. */
const MESSAGE_BYTES = 4 * 1024 * 1024;

const TASKS = 60;
const ATTEMPTS = 400;

/** A failure with a traceback of 64,000 CJK letters: 192 KB. */
const FAILURE = `jsonb_build_object('class', 'retryable', 'code', 'ON_PURPOSE', 'message', repeat('漢', 4096),
  'traceback', repeat('字', 64000))`;

const FINISHED = `insert into task_finished (id, class_id, priority, state, detail, attempt_count, oom_count, epoch,
    create_time, failure, warnings, headers, payload)
  select n, c.id, 0, 4, 'ON_PURPOSE', 1, 0, 1, now(), ${FAILURE},
    (select jsonb_agg(jsonb_build_object('step', 's', 'code', 'C', 'message', repeat(md5(w::text), 100)))
       from generate_series(1, 20) w),
    jsonb_build_object('note', repeat('h', 8000)), convert_to(repeat('p', 1000000), 'utf8')
    from generate_series(1, $1::int) n, task_class c where c.type = 'fail'`;

describe("T13: records that are large", () => {
  let fleet: Fleet;
  let last: string;

  before(async () => {
    fleet = await Fleet.start();
    const handle = await fleet.client.submit("fail", {}, { delayS: 3_600 });
    last = handle.id;
    await fleet.db.query("select setval(pg_get_serial_sequence('task', 'id'), 100000)");
    await fleet.db.query(FINISHED.replace("select n,", "select n + 1000,"), [TASKS]);
    const attempts = `insert into task_attempt (task_id, epoch, number, outcome, failure)
      select 1001, n, n, 'requeued:retry', ${FAILURE} from generate_series(1, $1::int) n`;
    await fleet.db.query(attempts, [ATTEMPTS]);
  });
  after(async () => {
    await killAll();
    await fleet.stop();
  });

  it("are listed without tracebacks, page by page, and none is missing", async () => {
    const { tasks } = fleet.client;
    const ids: string[] = [];
    for (let pageToken = ""; ; ) {
      const page = await tasks.listTasks({ states: [TaskState.FAILED], pageSize: 1_000, pageToken });
      const bytes = toBinary(ListTasksResponseSchema, create(ListTasksResponseSchema, page)).byteLength;
      assert.ok(bytes < MESSAGE_BYTES, `${bytes} bytes`);
      for (const { id, failure, omittedFields, payload, payloadBytes } of page.tasks) {
        ids.push(id);
        assert.equal(failure?.traceback, "");
        assert.deepEqual([payload.byteLength, payloadBytes], [0, 1_000_000n]);
        assert.ok(
          omittedFields.includes("failure.traceback") && omittedFields.includes("payload"),
          omittedFields.join(),
        );
      }
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
    assert.equal(new Set(ids).size, TASKS);
    const listed = Program.start("muster tasks", "../../cli/bin/muster.js", {
      base: import.meta.url,
      args: ["tasks", "--state", "failed", "--json", "--limit", "1000"],
      env: { MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc },
    });
    assert.equal((await listed.ended).code, 0, listed.stderr);
    assert.equal(JSON.parse(listed.stdout).tasks.length, TASKS);
  });

  it("are shown with the first and the last attempts, and how many are left out", async () => {
    const answer = await fleet.client.tasks.getTask({ taskId: "t-1001" });
    const bytes = toBinary(GetTaskResponseSchema, create(GetTaskResponseSchema, answer)).byteLength;
    assert.ok(bytes < MESSAGE_BYTES, `${bytes} bytes`);
    const { task } = answer;
    assert.ok(task);
    assert.equal(task.attempts.length + task.omittedAttemptCount, ATTEMPTS);
    assert.equal(task.attempts[0]?.id, "t-1001.1");
    assert.equal(task.attempts.at(-1)?.id, `t-1001.${ATTEMPTS}`);
    assert.equal(task.failure?.traceback.length, 64_000);
    const { explanation } = await fleet.client.tasks.explainTask({ taskId: "t-1001" });
    assert.ok(explanation && explanation.reasons.length > 0);
    const { events } = await fleet.client.fleet.listEvents({ taskId: "t-1001", pageSize: 1_000 });
    assert.ok(events.length > 0);
    assert.equal((await fleet.client.get(last)).omittedAttemptCount, 0);
  });

  it("end a watch with their end", async () => {
    const seen: string[] = [];
    for await (const { task } of fleet.client.handle("t-1002").watch()) seen.push(task.state);
    assert.deepEqual(seen, ["failed"]);
  });
});

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openPostgresStore, type Store } from "@muster/scheduler";
import { NO_REQUIREMENTS, newTask } from "../../scheduler/src/store/testing/made-rows.ts";
import { StatementCounter } from "../support/database/statements.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, type Program } from "../support/programs/program.ts";
import { until } from "../support/waits.ts";

/** Only polls are frequent. */
const ARGS = [
  ...["--poll-interval", "0.1", "--heartbeat", "5", "--lease", "60", "--reconnect-grace", "60"],
  ...["--monitor-interval", "60", "--accept-deadline", "20"],
];

/** The statement of a poll, and that of the check whether the database can be used. */
const POLL = "poll";
const CHECK = /^select pg_backend_pid\(\)/;

/** What is changed by hand here, as another scheduler does whose notifications do not arrive. */
describe("T65: changes whose notification is lost", () => {
  let fleet: Fleet;
  let counter: StatementCounter;
  let worker: Program;
  let other: Store;

  before(async () => {
    fleet = await Fleet.start({
      args: ARGS,
      databaseUrl: async (url) => {
        counter = await StatementCounter.start(url);
        return counter.urlOf(url);
      },
    });
    other = openPostgresStore({
      url: fleet.db.url,
      applicationName: "muster other-1-ab",
      onConnectionError: assert.fail,
    });
    worker = await fleet.worker("w-1");
  });

  after(async () => {
    await other.close();
    await killAll();
    await fleet.stop();
    await counter.stop();
  });

  /** Inserts a task as another scheduler would, without a notification. */
  const insert = async (type: string, payload: unknown): Promise<string> => {
    const [taskClass] = await other.resolveClasses([
      { queue: "default", type, requirements: NO_REQUIREMENTS },
    ]);
    const task = newTask({ type, payload: Buffer.from(JSON.stringify(payload)) });
    const [made] = await other.insertTasks([{ task, classId: taskClass?.id ?? 0, assignTo: undefined }]);
    return `t-${made?.id}`;
  };

  /** Waits until so many polls have begun after the statements so far; answers all statements since. */
  const polls = async (count: number, from = counter.statements.length): Promise<string[]> => {
    const since = () => counter.statements.slice(from);
    await until(`${count} polls`, () => since().filter((name) => name === POLL).length >= count || undefined);
    return since();
  };

  it("a poll of an idle scheduler is one statement, beside the check of the database", async () => {
    // What was new with the worker is read first.
    await polls(5);
    const statements = await polls(20);
    const counts = new Map<string, number>();
    for (const name of statements) counts.set(name, (counts.get(name) ?? 0) + 1);
    // Those of other services come every few seconds. One more poll is under way when the last one is seen.
    const frequent = [...counts].filter(([, count]) => count >= 7).map(([name]) => name);
    assert.equal(frequent.length, 2, String(frequent));
    assert.ok(frequent.some((name) => CHECK.test(name)));
    assert.ok(statements.length <= 20 * 4, `${statements.length} statements in 20 polls`);
  });

  it("a task of a class that is new is found by a poll", async () => {
    const taskId = await insert("echo", 1);
    const [run] = await fleet.ran(taskId);
    assert.equal(run?.workerId, "w-1");
  });

  it("a task whose time is moved to now starts", async () => {
    const { id } = await fleet.client.submit("echo", 2, { delayS: 3_600 });
    await polls(2);
    assert.equal(fleet.runs(id).length, 0);
    await fleet.db.query("update task set wake_time = now() where id = $1", [id.slice(2)]);
    await fleet.ran(id);
  });

  it("a queue is paused and resumed", async () => {
    const from = counter.statements.length;
    await fleet.db.query(
      `insert into queue (name, pause_time, pause_reason) values ('default', now(), 'by hand')
       on conflict (name) do update set pause_time = now(), pause_reason = 'by hand'`,
    );
    await until("the pauses are read", () => counter.statements.includes("queue-paused", from) || undefined);
    await polls(1);
    const taskId = await insert("echo", 3);
    const quiet = await polls(3);
    assert.equal(fleet.runs(taskId).length, 0);
    assert.ok(!quiet.slice(quiet.indexOf(POLL)).includes("queue-paused"), "it is read once");
    await fleet.db.query("update queue set pause_time = null, pause_reason = null");
    await fleet.ran(taskId);
  });

  it("a worker is paused and resumed", async () => {
    await fleet.db.query("insert into worker_pause (worker_id, reason) values ('w-1', 'by hand')");
    const paused = await worker.line("worker.paused");
    assert.match(String(paused.reason), /by hand/);
    await fleet.db.query("delete from worker_pause");
    await worker.line("worker.resumed");
  });

  it("a running task is cancelled", async () => {
    const gate = fleet.gate();
    const taskId = await insert("gate", { gate: gate.path });
    await fleet.started(taskId);
    const [attempt] = await fleet.db.query<{ session_id: string; epoch: string }>(
      "select session_id, epoch from task where id = $1",
      [taskId.slice(2)],
    );
    await fleet.db.query(
      "insert into command (scheduler_id, session_id, kind, body) values ($1, $2, 'cancel', $3)",
      [
        fleet.scheduler.id,
        attempt?.session_id,
        { task_id: taskId.slice(2), epoch: attempt?.epoch, reason: "by hand" },
      ],
    );
    await fleet.eventually(taskId, "cancelled");
  });
});

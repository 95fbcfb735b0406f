import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { TaskHandle } from "@muster/worker/client";
import pg from "pg";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { until } from "../support/waits.ts";

/** The fault table's bound. */
const BOUND_MS = 1_000;

const TASKS = 40;

describe("T53: strict orders of concurrency keys with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  const ordered = (key: string, queue: string) => ({
    queue,
    concurrency: [{ key, limit: 1, order: "strict" }] as const,
  });

  /** Fails unless every run of a task began after all runs of those before it, by the clock of the workers. */
  function assertOrder(handles: readonly TaskHandle[]): void {
    let last = { id: "", at: 0 };
    for (const { id } of handles) {
      const runs = pair.fleet.runs(id);
      for (const { at } of runs)
        assert.ok(at >= last.at, `${id} began ${last.at - at} ms before the last run of ${last.id}`);
      last = runs.reduce((latest, { at }) => (at > latest.at ? { id, at } : latest), { ...last, id });
    }
  }

  it("tasks of several types, queues and priorities start in the order of their submits, with retries and a kill", async () => {
    await Promise.all([
      pair.fleet.worker("ordered-1", { queue: "ordered-a", slots: 8, scheduler: pair.one.grpc }),
      pair.fleet.worker("ordered-2", {
        queue: "ordered-b",
        slots: 8,
        scheduler: `${pair.two.grpc},${pair.one.grpc}`,
      }),
    ]);
    const handles: TaskHandle[] = [];
    for (let n = 0; n < TASKS; n++) {
      const client = n % 2 === 0 ? pair.atOne : pair.atTwo;
      const options = {
        ...ordered("ordered", n % 3 === 0 ? "ordered-a" : "ordered-b"),
        priority: (n * 7) % 10,
        retry: { maxRetries: 1, delaysS: [0.1] },
      };
      handles.push(
        n % 8 === 5
          ? await client.submit("fail", {}, options)
          : await client.submit("sleep", { ms: n % 5 }, options),
      );
    }
    const ran = () => handles.filter(({ id }) => pair.fleet.runs(id).length > 0).length;
    await until("a third of them has run", () => ran() >= TASKS / 3 || undefined);
    await pair.two.program.end("SIGKILL");
    await Promise.allSettled(handles.map(({ id }) => pair.atOne.handle(id).result()));
    assert.equal(ran(), TASKS);
    assertOrder(handles);
    await pair.fleet.restart(pair.two, KEEPING);
  });

  it("a scheduler killed between its claim and the answer: the task keeps its place", async () => {
    const [key, one, two] = ["torn", "torn-a", "torn-b"];
    await pair.fleet.worker("torn-1", { queue: one, slots: 2, scheduler: pair.one.grpc });
    await pair.fleet.worker("torn-2", {
      queue: two,
      slots: 2,
      scheduler: `${pair.two.grpc},${pair.one.grpc}`,
    });
    await pair.atOne.submit("echo", 0, ordered(key, one)).then((handle) => handle.result());
    // A claim waits for the row of the key.
    const holder = new pg.Client({
      connectionString: pair.fleet.db.url,
      options: "-c search_path=muster,public",
    });
    await holder.connect();
    try {
      await holder.query("begin");
      await holder.query("select from concurrency_key where key = $1 for no key update", [key]);
      const first = await pair.atOne.submit("sleep", { ms: 50 }, ordered(key, two));
      const second = await pair.atOne.submit("echo", 2, ordered(key, one));
      await until("the claim of scheduler two waits", async () => {
        // It has the lock of the task already.
        const free = await pair.fleet.db.query(
          "select id from task where id = $1 for key share skip locked",
          [first.id.slice(2)],
        );
        return free.length === 0 || undefined;
      });
      await pair.two.program.end("SIGKILL");
      await holder.query("commit");
      await Promise.all([first, second].map(({ id }) => pair.atOne.handle(id).result()));
      assertOrder([first, second]);
    } finally {
      await holder.end();
    }
    await pair.fleet.restart(pair.two, KEEPING);
  });

  it("the explanation names the older task and why it waits, at both schedulers; its end lets the next one start", async () => {
    const queue = "explained-order";
    await pair.fleet.worker("explained-order", { queue, slots: 4, scheduler: pair.two.grpc });
    const older = await pair.atOne.submit("echo", 1, ordered("order 17", "no-such-queue"));
    const newer = await pair.atTwo.submit("echo", 2, ordered("order 17", queue));
    const free = await pair.atTwo.submit("echo", 3, { queue, concurrency: [{ key: "order 17", limit: 1 }] });
    assert.equal(await free.result(), 3, "a task without the order does not wait for it");
    const found = await pair.fleet.taskReason(newer.id, "OLDER_TASK_FIRST", BOUND_MS, {
      evidence: {
        concurrency_key: /^order 17$/,
        older_task: new RegExp(`^${older.id}$`),
        older_task_queue: /^no-such-queue$/,
        older_task_code: /^NO_WORKER_FOR_TYPE$/,
      },
      commands: [`muster cancel ${older.id}`],
    });
    assert.match(
      found.reason.summary,
      new RegExp(`the older task ${older.id} \\(echo in queue no-such-queue\\) waits`),
    );
    const { explanation } = await pair.atTwo.tasks.explainTask({ taskId: newer.id });
    assert.equal(explanation?.reasons[0]?.code, "OLDER_TASK_FIRST");
    const { stdout } = await runMuster(pair.one.grpc, ["locks", "order 17", "--blocked"]);
    assert.deepEqual(stdout.trimEnd().split("\t").slice(-1), [older.id]);
    assert.equal(pair.fleet.runs(newer.id).length, 0);
    await older.cancel("not wanted");
    assert.equal(await newer.result(), 2);
  });
});

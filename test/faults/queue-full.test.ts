import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type Client, MusterError } from "@muster/worker/client";
import { SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { ROOT } from "../support/repo/checks.ts";
import { until } from "../support/waits.ts";

const EXIT_REFUSED = 4;

describe("a queue with a limit", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start();
  });

  after(() => pair.stop());

  const muster = (...args: string[]) => runMuster(pair.one.grpc, args);

  async function limit(queue: string, max: number): Promise<void> {
    await pair.atOne.fleet.limitQueue({ queue, maxWaitingCount: BigInt(max), reason: "by the test" });
    // The other scheduler reads it when the notification arrives.
    await until("both have the limit", async () => {
      const ends = await Promise.allSettled(
        [pair.atOne, pair.atTwo].map((client) =>
          client.submitMany(Array.from({ length: max + 1 }, () => ({ type: "none", queue }))),
        ),
      );
      for (const end of ends)
        if (end.status === "fulfilled") for (const task of end.value) await task.cancel();
      return ends.every(({ status }) => status === "rejected") || undefined;
    });
  }

  const isFull = (error: unknown) => {
    assert.ok(error instanceof MusterError);
    assert.deepEqual(
      [error.reason, error.codeName, error.retryAfterMs],
      ["QUEUE_FULL", "ResourceExhausted", 1_000],
    );
    return true;
  };

  it("the commands of operations.md", async () => {
    const docs = readFileSync(join(ROOT, "docs/operations.md"), "utf8");
    const [, section = ""] = docs.split("## Limit a queue");
    const [console = ""] = /```console\n[\s\S]+?```/.exec(section) ?? [];
    const commands = [...console.matchAll(/^\$ muster (.+)$/gm)].map(
      ([, command = ""]) => command.match(/"[^"]*"|\S+/g)?.map((word) => word.replaceAll('"', "")) ?? [],
    );
    assert.equal(commands.length, 3);
    const said: string[] = [];
    for (const command of commands) {
      const { code, stdout, stderr } = await muster(...command);
      assert.equal(code, 0, stderr);
      said.push(stdout);
    }
    assert.match(said[0] ?? "", /^nightly is limited to 10000 waiting tasks; now 0 tasks in it\n$/);
    assert.match(said[1] ?? "", /^nightly\topen\t0\t0\t0\t.*\t10000\t\t1\t\t\t0$/m);
    assert.match(said[2] ?? "", /^nightly has no limit; now 0 tasks in it\n$/);
    const wrong = await muster("queue", "limit", "nightly", "0");
    assert.deepEqual(
      [wrong.code, /from 1 to 1000000000, or none/.test(wrong.stderr)],
      [2, true],
      wrong.stderr,
    );
  });

  it("F34: submits are refused past it, by every way and as a whole, and admitted when there is room", async () => {
    await limit("full", 4);
    await pair.atOne.submitMany(
      Array.from({ length: 4 }, (_, n) => ({ type: "echo", payload: n, queue: "full" })),
    );
    await assert.rejects(pair.atOne.submit("echo", 5, { queue: "full" }), isFull);
    // What the other one counted before may be older than these four: it may admit a quarter of that room, one task.
    const [late] = await Promise.allSettled([pair.atTwo.submit("echo", 5, { queue: "full" })]);
    if (late.status === "fulfilled") await late.value.cancel();
    await assert.rejects(pair.atTwo.submit("echo", 5, { queue: "full" }), isFull);
    await assert.rejects(
      pair.atTwo.submitMany([
        { type: "echo", queue: "other" },
        { type: "echo", queue: "full" },
      ]),
      isFull,
    );
    const http = await fetch(`${pair.one.http}/muster.v1.TaskService/SubmitTasks`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ tasks: [{ taskType: "echo", queue: "full" }] }),
    });
    const body = JSON.stringify(await http.json());
    assert.deepEqual(
      [http.status, /resource_exhausted/.test(body), /QUEUE_FULL/.test(body)],
      [429, true, true],
      body,
    );
    assert.match(body, /RetryInfo/);
    const refused = await muster("submit", "echo", "5", "--queue", "full");
    assert.equal(refused.code, EXIT_REFUSED);
    assert.match(refused.stderr, /QUEUE_FULL[\s\S]+submit again in 1 s/);
    const why = await muster("why", "queue:full");
    assert.match(why.stdout, /QUEUE_FULL\b[\s\S]+its limit is 4 waiting tasks, by the test/);
    assert.match(
      (await muster("doctor")).stdout,
      /1 queue is full and refuses submits: full \(limit 4, by the test\)/,
    );
    const patient = pair.atTwo.submit("echo", 6, { queue: "full", roomTimeoutS: 60 });
    await pair.fleet.worker("drains", { queue: "full,other" });
    assert.equal(await (await patient).result(), 6);
  });

  it("F34: a requeue and a retry are never refused", async () => {
    const worker = await pair.fleet.worker("dies", { queue: "requeued", slots: 1 });
    const gate = pair.fleet.gate();
    const held = await pair.atOne.submit("gate", { gate: gate.path }, { queue: "requeued" });
    await pair.fleet.ran(held.id);
    await limit("requeued", 1);
    await pair.atOne.submit("echo", 1, { queue: "requeued" });
    await assert.rejects(pair.atOne.submit("echo", 2, { queue: "requeued" }), isFull);
    await worker.end("SIGKILL");
    await pair.fleet.eventually(held.id, "requeued:stale");
    await assert.rejects(pair.atOne.submit("echo", 2, { queue: "requeued" }), isFull);
    gate.open();
    await pair.fleet.worker("lives", { queue: "requeued" });
    await held.result();
  });

  it("F34: two schedulers together exceed it by no more than is stated, also when one is killed", async () => {
    const max = 200;
    await limit("shared", max);
    const flood = (client: Client, count: number) =>
      Promise.allSettled(Array.from({ length: count }, () => client.submit("none", 1, { queue: "shared" })));
    const first = flood(pair.atOne, 300);
    const second = flood(pair.atTwo, 300);
    await pair.two.program.end("SIGKILL");
    await Promise.all([first, second]);
    await pair.fleet.restart(pair.two);
    await Promise.all([flood(pair.atOne, 50), flood(pair.atTwo, 50)]);
    const { queues } = await pair.atOne.fleet.listQueues({});
    const shared = queues.find(({ name }) => name === "shared");
    const waiting = Number(shared?.readyCount);
    assert.ok(waiting >= max && waiting <= max * 1.25, `${waiting} wait`);
    await assert.rejects(pair.atTwo.submit("none", 1, { queue: "shared" }), isFull);
    await pair.fleet.db.query(
      "delete from task where class_id in (select id from task_class where queue = 'shared')",
    );
  });
});

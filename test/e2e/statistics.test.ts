/** Runs the examples of docs/statistics.md. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { DocExamples } from "../support/fleet/doc-examples.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { until } from "../support/waits.ts";

describe("the examples of docs/statistics.md", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/statistics.md");
    const { fleet } = examples;
    await Promise.all([
      fleet.worker("counted", { queue: "pages", slots: 2 }),
      fleet.worker("measuring", { queue: "measures", slots: 1 }),
    ]);
    const retry = { maxRetries: 1, delaysS: [0] };
    const handles = await fleet.client.submitMany([
      { type: "fail", queue: "pages", retry },
      ...[1, 2, 3].map((payload) => ({ type: "echo", queue: "pages", payload })),
      { type: "measured", queue: "measures", payload: { amounts: [100, 50.5] } },
    ]);
    await Promise.allSettled(handles.map((handle) => handle.result()));
  });

  after(() => examples.stop());

  it("an operator counts failures with the CLI, and reads the success rate when it is written", async () => {
    await until("the successes are counted", async () => {
      const { attempts } = await examples.fleet.client.failures();
      return attempts?.succeededCount === 4 || undefined;
    });
    const { stdout } = await examples.shell("sh run");
    assert.match(
      stdout,
      /^attempts\t2\tON_PURPOSE\tretryable\t.*\tt-\d+\.2\tcounted\tit failed on purpose$/m,
    );
    assert.match(stdout, /^tasks\t1\tON_PURPOSE\tRETRIES_EXHAUSTED\t/m);
    const { attempts } = JSON.parse(stdout.slice(stdout.indexOf("\n{") + 1));
    assert.equal(attempts.successRate, 4 / 6);
  });

  it("a program counts them", async () => {
    const output = await examples.program("ts failures.ts");
    assert.match(output, /^2 of 2 ON_PURPOSE, the last one in t-\d+$/m);
  });

  it("a window or a name that is not valid is refused with the field", async () => {
    const { client } = examples.fleet;
    await assert.rejects(client.failures({ sinceS: 0.5 }), /window.*0\.5 s is shorter than 1 s/);
    await assert.rejects(client.fleet.getFailureStatistics({ window: { seconds: 2_678_401n } }), /window/);
    await assert.rejects(client.failures({ queue: "no such queue" }), /queue.*is not a queue name/);
    await assert.rejects(client.failures({ sinceS: -1 }), { name: "OptionsError" });
    const { attempts } = await client.failures({ queue: "nothing-there", sinceS: 60 });
    assert.deepEqual(
      [attempts?.failedCount, attempts?.succeededCount, attempts?.successRate],
      [0, 0, undefined],
    );
  });

  it("an operator sums what handlers measured", async () => {
    const { stdout } = await examples.shell("sh measured");
    assert.match(
      stdout,
      /^measures\tmeasured\tcalls\t1\t1\t1\nmeasures\tmeasured\ttokens_in\t150\.5\t1\t150\.5$/m,
    );
    assert.deepEqual(JSON.parse(stdout.slice(stdout.indexOf("\n{") + 1)).totals ?? [], []);
    const { client } = examples.fleet;
    await assert.rejects(client.metrics({ sinceS: 0.5 }), /window.*0\.5 s is shorter than 1 s/);
    await assert.rejects(client.metrics({ queue: "no such queue" }), /queue.*is not a queue name/);
    await assert.rejects(client.metrics({ sinceS: 32 * 86_400 }), { name: "OptionsError" });
  });

  it("what was completed is listed by queue, by type and by worker", async () => {
    const { fleet } = examples;
    const [queue] = (await fleet.client.fleet.listQueues({})).queues.filter(({ name }) => name === "pages");
    assert.equal(queue?.recentCompletedCount, 3n);
    assert.ok(queue.recentCompletedAge && durationMs(queue.recentCompletedAge) < 60_000);
    const [echo] = queue.taskTypes.filter(({ taskType }) => taskType === "echo");
    assert.equal(echo?.recentCompletedCount, 3n);
    const worker = await until("the worker's heartbeat has them", async () => {
      const { worker: found } = await fleet.client.fleet.getWorker({ workerId: "counted" });
      const { completions } = found ?? {};
      return completions?.completedCount === 3n && completions.idleAge ? completions : undefined;
    });
    assert.equal(worker.recentCompletedCount, 3n);
    assert.ok(worker.age);
    const { overview } = await fleet.client.fleet.getOverview({});
    assert.equal(overview?.recentCompletedCount, 4n);
    const counted = overview.workers.find(({ workerId }) => workerId === "counted");
    assert.equal(counted?.completions?.completedCount, 3n);
    const listed = await runMuster(fleet.scheduler.grpc, ["workers"]);
    assert.match(listed.stdout, /^counted\tready\t.*\t3\t3\t\d+(\t|$)/m);
    const queues = await runMuster(fleet.scheduler.grpc, ["queues"]);
    assert.match(queues.stdout, /^pages\topen\t.*\t3(\t|$)/m);
  });
});

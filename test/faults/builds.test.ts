import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type BuildRuleSchema, QueueSetting } from "@muster/protocol";
import { type BuildRule, isOfRamp } from "../../scheduler/src/domain/builds/build-rule.ts";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { until } from "../support/waits.ts";

describe("a queue whose tasks run on builds", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  const worker = (id: string, build: string, queue: string, scheduler: string, slots = 4) =>
    pair.fleet.worker(id, { queue, slots, scheduler, env: build === "" ? {} : { MUSTER_BUILD_ID: build } });

  const setRule = async (queue: string, buildRule: MessageInitShape<typeof BuildRuleSchema>) => {
    await pair.atOne.fleet.configureQueue({ queue, settings: { buildRule }, reason: "a test" });
  };

  /** The build that ran each attempt of the task, as its record has it. */
  const buildsOf = async (taskId: string): Promise<string[]> => {
    const { buildId, attempts } = await pair.fleet.task(taskId);
    return [...attempts.map((attempt) => attempt.buildId), buildId];
  };

  const idOf = (taskId: string) => Number(taskId.slice(2));

  it("T82: of a ramp every task runs on its side, at two schedulers, also when it is tried again", async () => {
    const queue = "ramped";
    const share = 0.4;
    await Promise.all([
      worker("old-1", "12", queue, pair.one.grpc),
      worker("new-2", "13", queue, pair.two.grpc),
      worker("old-2", "", queue, pair.two.grpc),
      worker("new-1", "13", queue, pair.one.grpc),
    ]);
    await setRule(queue, { ramp: { buildId: "13", share } });
    // The other scheduler takes it over with a poll; its first task on the wrong side would show that it has not.
    await until("the second scheduler has the rule", async () => {
      const tasks = await pair.atTwo.submitMany(
        Array.from({ length: 20 }, () => ({ type: "echo", payload: {}, queue })),
      );
      for (const task of tasks) await task.result();
      const sides = await Promise.all(
        tasks.map(async ({ id }) => ((await buildsOf(id)).at(-1) === "13") === isOfRamp(idOf(id), share)),
      );
      return sides.every(Boolean) || undefined;
    });
    const specs = Array.from({ length: 150 }, (_, index) => ({
      type: index % 10 === 0 ? "fail" : "echo",
      payload: { index },
      queue,
      retry: { maxRetries: 1, delaysS: [0.1] },
    }));
    const handles = (
      await Promise.all([pair.atOne.submitMany(specs.slice(0, 75)), pair.atTwo.submitMany(specs.slice(75))])
    ).flat();
    await Promise.allSettled(handles.map((handle) => handle.result()));
    let retried = 0;
    for (const { id } of handles) {
      const builds = await buildsOf(id);
      if (builds.length > 1) retried++;
      for (const build of builds)
        assert.equal(build === "13", isOfRamp(idOf(id), share), `${id} ran on ${builds.join(", ")}`);
    }
    assert.ok(retried > 0, "some were tried again");
    const rule: BuildRule = { ramp: { build: "13", share } };
    const { queues } = await pair.atTwo.fleet.listQueues({});
    assert.deepEqual(
      queues.find(({ name }) => name === queue)?.settings?.buildRule?.ramp?.share,
      rule.ramp?.share,
    );
  });

  it("T83: pinned to a build that does not run waits with BUILD_NOT_RUNNING, and starts with its first worker", async () => {
    const queue = "pinned";
    await worker("only-12", "12", queue, pair.one.grpc);
    await setRule(queue, { pinnedBuildId: "13" });
    const task = await pair.atOne.submit("echo", { n: 1 }, { queue });
    const { reason } = await pair.fleet.taskReason(task.id, "BUILD_NOT_RUNNING", 5_000);
    assert.match(
      reason.summary,
      /^the rule of queue pinned runs the task on build 13, and 1 worker that could run it has another build: 12$/,
    );
    assert.match(
      reason.remedy,
      /^start a worker with MUSTER_BUILD_ID=13, or .*`muster queue build pinned --clear`$/,
    );
    assert.deepEqual(pair.fleet.runs(task.id), []);
    const { explanation } = await pair.atOne.fleet.explainQueue({ queue });
    assert.match(
      explanation?.reasons.find(({ code }) => code === "QUEUE_BUILD_RULE")?.summary ?? "",
      /^the queue binds its tasks to build 13, set .* ago: a test$/,
    );
    await worker("first-13", "13", queue, pair.two.grpc);
    assert.deepEqual(await task.result(), { n: 1 });
    assert.deepEqual(await buildsOf(task.id), ["13"]);
    await pair.atOne.fleet.configureQueue({ queue, cleared: [QueueSetting.BUILD_RULE], reason: "a test" });
    const events = await pair.fleet.db.query<{ attributes: Record<string, string> }>(
      "select attributes from muster.event where name = 'queue.configured' and attributes ->> 'queue' = 'pinned' order by id",
    );
    assert.deepEqual(
      events.map(({ attributes }) => [attributes.build_rule, attributes.cleared, attributes.reason]),
      [
        ["pinned to build 13", undefined, "a test"],
        [undefined, "build_rule", "a test"],
      ],
    );
  });

  it("a share of which the build has gone runs on the others, after a poll", async () => {
    const queue = "gone";
    await worker("stays", "12", queue, pair.one.grpc);
    const leaving = await worker("leaves", "13", queue, pair.one.grpc);
    await setRule(queue, { ramp: { buildId: "13", share: 0.5 } });
    await leaving.end("SIGTERM");
    const tasks = await pair.atOne.submitMany(
      Array.from({ length: 10 }, () => ({ type: "echo", payload: {}, queue })),
    );
    for (const task of tasks) assert.deepEqual(await task.result(), {});
    for (const { id } of tasks) assert.deepEqual(await buildsOf(id), ["12"]);
  });
});

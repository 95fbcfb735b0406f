import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Client, TaskHandle } from "@muster/worker/client";
import { H } from "../support/fleet/fleet.ts";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { until, within } from "../support/waits.ts";

/** Thresholds of the worker's and of the scheduler's watchdogs, milliseconds. */
const WARN = 400;
const SILENT = 700;

describe("F46: handlers that say that they will be silent, with two schedulers", () => {
  let pair: SchedulerPair;

  const ARGS = ["--stuck-after", String(SILENT / 1_000), ...KEEPING];

  before(async () => {
    pair = await SchedulerPair.start(ARGS);
  });

  after(() => pair.stop());

  const watched = (id: string) =>
    pair.fleet.worker(id, {
      ...{ queue: id, slots: 4, file: "watched.ts", scheduler: `${pair.two.grpc},${pair.one.grpc}` },
      env: { WORKER_WARN_INFERENCE_S: String(WARN / 1_000) },
    });

  const stuckEvents = async (taskId: string) =>
    (await pair.fleet.events(taskId)).filter((name) => name.endsWith(".stuck")).length;

  /** What a scheduler says of a task: the first reason, with its evidence. */
  async function explained(client: Client, taskId: string) {
    const { explanation } = await client.tasks.explainTask({ taskId });
    const [reason] = explanation?.reasons ?? [];
    return { code: reason?.code, facts: new Map(reason?.evidence.map(({ key, value }) => [key, value])) };
  }

  /** Both schedulers, or the one that lives, explain it by what its handler has said. */
  async function explainedAsExpected({ id }: TaskHandle, clients: readonly Client[]): Promise<void> {
    for (const client of clients)
      await until(`${id} is explained by what its handler said`, async () => {
        const { code, facts } = await explained(client, id);
        assert.equal(code, "RUNNING");
        return facts.get("quiet_reason") === "compiles the shaders" || undefined;
      });
  }

  it("are not called stuck, also at another scheduler after a reconnect; others are", async () => {
    await watched("quiet");
    const gate = pair.fleet.gate();
    const submit = (type: string, payload: object) =>
      pair.atOne.submit(type, { gate: gate.path, ...payload }, { queue: "quiet" });
    const expecting = await Promise.all([
      submit("expects", { quietForS: 600 }),
      submit("expects", { quietForS: 600, phase: "inference" }),
    ]);
    const silent = await submit("mute", {});
    const calledStuck = (count: number) =>
      until(`${silent.id} is called stuck`, async () => (await stuckEvents(silent.id)) >= count || undefined);
    // It has been silent for as long as they are, and its worker says nothing of it.
    await calledStuck(1);
    for (const each of expecting) await explainedAsExpected(each, [pair.atOne, pair.atTwo]);
    const shown = await pair.muster("task", expecting[0]?.id ?? "");
    assert.match(shown, /expected\s+silent for up to 10 min, until .+: compiles the shaders/);
    assert.match(await pair.muster("worker", "quiet"), /silent for up to 10 min/);

    await pair.two.program.end("SIGKILL");
    await until("the worker is at the other scheduler", async () =>
      (await pair.fleet.workerState("quiet")).schedulerId === pair.one.id ? true : undefined,
    );
    await calledStuck((await stuckEvents(silent.id)) + 1);
    for (const each of expecting) {
      await explainedAsExpected(each, [pair.atOne]);
      assert.equal(await stuckEvents(each.id), 0);
    }
    gate.open();
    for (const each of expecting) assert.deepEqual(await each.result(), { worker: "quiet" });
    await pair.fleet.restart(pair.two, ARGS);
  });

  it("are called stuck when they are silent for longer than they said", async () => {
    await watched("late");
    const gate = pair.fleet.gate();
    const quietForS = 1.5;
    const from = performance.now();
    const late = await Promise.all(
      [{}, { phase: "inference" }].map((more) =>
        pair.atOne.submit("expects", { gate: gate.path, quietForS, ...more }, { queue: "late" }),
      ),
    );
    for (const { id } of late) {
      const { value: facts } = await within(`${id} is stuck`, quietForS * 1_000 + SILENT + H, async () => {
        const { code, facts: found } = await explained(pair.atTwo, id);
        return code === "STUCK_IN_PHASE" ? found : undefined;
      });
      assert.ok(performance.now() - from >= quietForS * 1_000, "not before");
      assert.equal(facts.get("quiet_for_ms"), "1500");
      await until(`${id} has the event`, async () => (await stuckEvents(id)) > 0 || undefined);
    }
    gate.open();
    for (const each of late) assert.deepEqual(await each.result(), { worker: "late" });
  });
});

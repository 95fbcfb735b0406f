import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { StepState } from "@muster/protocol";
import type { TaskHandle } from "@muster/worker/client";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { until } from "../support/waits.ts";

interface Stepped {
  readonly work: string;
  readonly pr: string | null;
}

describe("F45: named steps with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  /** Runs of its steps so far, as attempt and step. */
  const runs = (taskId: string) =>
    pair.fleet.runs(`${taskId}/steps`).map(({ attemptId }) => attemptId.replace(`${taskId}.`, ""));

  const steps = async (taskId: string) => {
    const { task } = await pair.atOne.tasks.getTask({ taskId });
    return task?.steps.map(({ name, state }) => ({ name, state })) ?? [];
  };

  /** Resolves when the database has the first step as done. */
  const workDone = (taskId: string) =>
    until(
      `the work of ${taskId} is kept`,
      async () => (await steps(taskId))[0]?.state === StepState.DONE || undefined,
    );

  const states = async ({ id }: TaskHandle) => {
    const { task } = await pair.atOne.tasks.getTask({ taskId: id });
    return [
      task?.detail,
      ...(task?.steps.map(({ name, state, optional }) => `${name} ${state}${optional}`) ?? []),
    ];
  };

  it("a step that is done does not run again when its worker is killed, nor after its scheduler was", async () => {
    const gate = pair.fleet.gate();
    const queue = "killed";
    const scheduler = `${pair.two.grpc},${pair.one.grpc}`;
    const moves = await pair.fleet.worker("moves", { queue, slots: 1, scheduler });
    const handle = await pair.atOne.submit<Stepped>("stepped", { gate: gate.path }, { queue });
    await workDone(handle.id);
    const before = runs(handle.id);
    const keptBy = (await pair.atOne.get(handle.id)).steps[0]?.attemptId;
    await pair.two.program.end("SIGKILL");
    await until("the worker is back at the other scheduler", async () =>
      (await pair.fleet.workerState("moves")).schedulerId === pair.one.id ? true : undefined,
    );
    await moves.end("SIGKILL");
    gate.open();
    await pair.fleet.worker("goes-on", { queue, slots: 1, scheduler: pair.one.grpc });
    const { work } = await handle.result();
    // A machine under load may lose the worker before the step is done, and then it runs in the next attempt.
    assert.equal(work, keptBy);
    assert.deepEqual(
      runs(handle.id).filter((run) => run.endsWith("-work")),
      before,
    );
    await pair.fleet.restart(pair.two);
  });

  it("optional steps that failed are warnings, and each runs again alone", async () => {
    const broken = pair.fleet.gate().path;
    writeFileSync(broken, "");
    const queue = "alone";
    await pair.fleet.worker("solves", { queue, slots: 1, scheduler: pair.two.grpc });
    const payload = { failing: ["create_pr", "notify"], broken };
    const handle = await pair.atOne.submit<Stepped>("stepped", payload, { queue });
    assert.deepEqual(await handle.result(), { work: `${handle.id}.1`, pr: null });
    assert.deepEqual(await states(handle), [
      "succeeded_with_warnings",
      "work 2false",
      "create_pr 3true",
      "notify 3true",
    ]);
    assert.match(
      await pair.muster("tasks", "--detail", "succeeded_with_warnings"),
      new RegExp(`^${handle.id}\t`, "m"),
    );
    const shown = await pair.muster("task", handle.id);
    assert.match(shown, /^step\twork done$/m);
    assert.match(shown, /^step\tcreate_pr failed \(optional\): ON_PURPOSE create_pr failed$/m);
    const again = async (step: string) => {
      await pair.muster("retry", handle.id, "--step", step);
      return handle.result();
    };
    assert.equal((await again("create_pr")).pr, null, "it fails again");
    assert.deepEqual(runs(handle.id), ["1-work", "1-create_pr", "1-notify", "2-create_pr"]);
    rmSync(broken);
    assert.deepEqual(await again("create_pr"), { work: `${handle.id}.1`, pr: `${handle.id}.3` });
    assert.deepEqual((await states(handle)).slice(0, 1), ["succeeded_with_warnings"], "of the other step");
    const listed = (...args: string[]) => pair.muster("tasks", "--queue", queue, ...args);
    assert.match(await listed("--step", "notify=failed"), new RegExp(`^${handle.id}\t`));
    assert.equal(await listed("--step", "create_pr=failed"), "");
    assert.match(await listed("--step", "create_pr"), new RegExp(`^${handle.id}\t`));
    const many = ["retry", "--step", "notify", "--queue", queue];
    assert.match(await pair.muster(...many, "--dry-run"), /^1 task would change$/m);
    assert.match(await pair.muster(...many, "--yes"), /^1 queued again$/m);
    await handle.result();
    assert.match(await pair.muster(...many, "--yes"), /^0 queued again$/m);
    assert.deepEqual(await states(handle), ["succeeded", "work 2false", "create_pr 2true", "notify 2true"]);
    assert.deepEqual(runs(handle.id).slice(3), ["2-create_pr", "3-create_pr", "4-notify"]);
    const done = await runMuster(pair.two.grpc, ["retry", handle.id, "--step", "work"]);
    assert.equal(done.code, 4);
    assert.match(
      done.stderr,
      /has the step work, which is done; only a step that has failed can be run again alone/,
    );
    const none = await runMuster(pair.two.grpc, ["retry", handle.id, "--step", "deploy"]);
    assert.match(none.stderr, /has no step "deploy"/);
    for (const args of [
      ["--step", "work", "--afresh"],
      ["--step", ""],
    ]) {
      const wrong = await runMuster(pair.two.grpc, ["retry", handle.id, ...args]);
      assert.equal(wrong.code, 2, wrong.stderr);
    }
  });

  it("a retry of a failed task keeps what is done, and afresh or of a success it does not", async () => {
    const queue = "by-hand";
    await pair.fleet.worker("fails", { queue, slots: 1, scheduler: pair.one.grpc });
    const once = { queue, retry: { maxRetries: 0 } };
    const handle = await pair.atTwo.submit<Stepped>("stepped", { failAt: 1 }, once);
    await assert.rejects(handle.result(), /ON_PURPOSE/);
    await handle.retry();
    await assert.rejects(handle.result(), /ON_PURPOSE/);
    const first = ["1-work", "1-create_pr", "1-notify"];
    assert.deepEqual(runs(handle.id), first);
    await handle.retry({ afresh: true });
    await assert.rejects(handle.result(), /ON_PURPOSE/);
    assert.deepEqual(runs(handle.id).slice(3), ["3-work", "3-create_pr", "3-notify"]);
    const success = await pair.atTwo.submit<Stepped>("stepped", {}, once);
    await success.result();
    await success.retry();
    assert.equal((await success.result()).work, `${success.id}.2`);
    await assert.rejects(success.retry({ afresh: true, step: "work" }), /is given with afresh/);
  });
});

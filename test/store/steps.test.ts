import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { AttemptKey } from "../../scheduler/src/domain/ids.ts";
import type { Step } from "../../scheduler/src/domain/tasks/attempts/step.ts";
import { noteSteps } from "../../scheduler/src/store/postgres/tasks/reports/steps.ts";
import { commitRequest, failed, openFixture, type StoreFixture, SUCCEEDED } from "./fixture.ts";

describe("store: steps", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  const claim = async (taskId: number) => fixture.claimOne(taskId, await fixture.session());

  /** A task that an attempt holds. */
  async function held(type: string) {
    const [taskId = 0] = await fixture.submit(type);
    return { taskId, first: await claim(taskId) };
  }

  const step = (key: AttemptKey, fields: Partial<Step> = {}): Step => ({
    ...{ state: "done", result: "1", place: 1, epoch: key.epoch, atMs: 1_000 },
    ...fields,
  });
  const pending = (key: AttemptKey): Step => ({ state: "pending", place: 1, epoch: key.epoch, atMs: 1_000 });

  const touch = (key: AttemptKey, steps: Readonly<Record<string, Step>>) =>
    fixture.store.touch([
      {
        key: { taskId: key.taskId, epoch: key.epoch },
        ...{ acceptAgeMs: 1, startAgeMs: 1, phase: undefined, phaseAgeMs: undefined, progress: undefined },
        steps,
      },
    ]);

  it("of several attempts are merged; one that has ended is not begun by a late write of its attempt", async () => {
    const { store } = fixture;
    const { taskId, first } = await held("merged");
    await touch(first, { work: step(first), push: pending(first) });
    await touch(first, { work: pending(first) });
    await store.commitResults([
      {
        ...commitRequest(first, failed()),
        steps: { push: step(first, { state: "failed", code: "BUSY", place: 2 }) },
      },
    ]);
    await store.retryTask(taskId);
    const second = await claim(taskId);
    const { work, push } = second.options?.steps ?? {};
    assert.deepEqual([work?.state, work?.result, push?.state, push?.code], ["done", "1", "failed", "BUSY"]);
    await touch(second, { push: pending(second) });
    assert.equal((await store.getTask(taskId))?.options?.steps?.push?.state, "pending");
  });

  it("of attempts that are not current change nothing", async () => {
    const { store } = fixture;
    const { taskId, first } = await held("fenced");
    await store.commitResults([commitRequest(first, failed())]);
    await touch(first, { work: step(first) });
    await store.retryTask(taskId);
    const second = await claim(taskId);
    await touch(first, { work: step(first) });
    assert.equal(second.options?.steps, undefined);
    await store.commitResults([commitRequest(second, SUCCEEDED)]);
    await touch(second, { work: step(second) });
    assert.equal((await store.getTask(taskId))?.options?.steps, undefined);
  });

  it("are queued again alone, of tasks with a unique key too, only when they have failed", async () => {
    const { store } = fixture;
    const [taskId = 0] = await fixture.submit("alone", 1, { uniqueKey: "alone" });
    const first = await claim(taskId);
    const optional = { state: "failed", optional: true, code: "BUSY", message: "no answer" } as const;
    await touch(first, {
      work: step(first),
      push: step(first, optional),
      mail: step(first, optional),
    });
    assert.deepEqual(await store.retryTask(taskId, { step: "push" }), { outcome: "active" });
    await store.commitResults([commitRequest(first, SUCCEEDED)]);
    assert.deepEqual(await store.retryTask(taskId, { step: "work" }), {
      outcome: "step_not_failed",
      state: "done",
    });
    assert.deepEqual(await store.retryTask(taskId, { step: "none" }), {
      outcome: "step_not_failed",
      state: undefined,
    });
    assert.equal((await store.retryTask(taskId, { step: "push" }))?.outcome, "queued");
    const second = await claim(taskId);
    const { work, push, mail } = second.options?.steps ?? {};
    assert.deepEqual([work?.state, push?.state, push?.code], ["done", "pending", undefined]);
    assert.deepEqual([mail?.state, mail?.skip, mail?.message], ["failed", true, "no answer"]);
    await store.commitResults([
      commitRequest(second, {
        kind: "failed",
        failure: { failureClass: "non_retryable", code: "BUSY", message: "no answer" },
      }),
    ]);
    await store.retryTask(taskId);
    const third = await claim(taskId);
    assert.equal(third.options?.steps?.mail?.skip, undefined, "a retry of the task runs it again");
    await store.commitResults([commitRequest(third, SUCCEEDED)]);
    await store.retryTask(taskId);
    assert.equal((await claim(taskId)).options?.steps, undefined, "a success begins again");
  });

  it("cost no statement where there are none", async () => {
    const statements: string[] = [];
    const run = async ({ name }: { readonly name: string }) => statements.push(name);
    const key = { taskId: 1, epoch: 1 };
    await noteSteps(run, [{ key }, { key, steps: undefined }]);
    assert.deepEqual(statements, []);
    await noteSteps(run, [{ key }, { key, steps: { work: step(key) } }]);
    assert.deepEqual(statements, ["task-note-steps"]);
  });
});

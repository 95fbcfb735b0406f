import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { type SubmittedTask, SubmittedTaskSchema, type TaskSpec, TaskSpecSchema } from "@muster/protocol";
import { MusterError } from "../errors.ts";
import { SubmitQueue } from "./submit-queue.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const spec = (type: string, bytes = 0) =>
  create(TaskSpecSchema, { taskType: type, payload: new Uint8Array(bytes) });
const answer = (specs: readonly TaskSpec[]) =>
  specs.map(({ taskType }) => create(SubmittedTaskSchema, { taskId: `t-${taskType}` }));

/** A queue whose calls end when the test says so. */
function controlled() {
  const calls: { types: string[]; end: (error?: Error) => void }[] = [];
  const queue = new SubmitQueue(
    (specs) =>
      new Promise<SubmittedTask[]>((resolve, reject) => {
        const types = specs.map(({ taskType }) => taskType);
        calls.push({ types, end: (error) => (error ? reject(error) : resolve(answer(specs))) });
      }),
  );
  return { calls, queue, types: () => calls.map((call) => call.types.join("+")) };
}

test("a single submit is sent at once; submits during calls share the next one", async () => {
  const { calls, queue, types } = controlled();
  const all = [queue.submit(spec("1"), 1000)];
  await turn();
  all.push(queue.submit(spec("2"), 1000));
  await turn();
  assert.deepEqual(types(), ["1", "2"]);
  all.push(queue.submit(spec("3"), 1000), queue.submit(spec("4"), 1000));
  await turn();
  assert.equal(calls.length, 2);
  calls[0]?.end();
  await turn();
  assert.deepEqual(types(), ["1", "2", "3+4"]);
  calls[1]?.end();
  calls[2]?.end();
  assert.deepEqual(
    (await Promise.all(all)).map(({ taskId }) => taskId),
    ["t-1", "t-2", "t-3", "t-4"],
  );
});

test("a refusal rejects the task that it is about, and the others are accepted", async () => {
  const sent: number[] = [];
  const queue = new SubmitQueue(async (specs) => {
    sent.push(specs.length);
    const bad = specs.find(({ taskType }) => taskType === "bad");
    if (bad) throw new MusterError("type is bad", { code: Code.InvalidArgument, reason: "INVALID_TASK" });
    return answer(specs);
  });
  const ends = await Promise.allSettled(["1", "bad", "2"].map((type) => queue.submit(spec(type), 1000)));
  assert.deepEqual(
    ends.map(({ status }) => status),
    ["fulfilled", "rejected", "fulfilled"],
  );
  assert.deepEqual(sent, [3, 1, 1, 1]);
});

test("a call of unknown outcome is not repeated", async () => {
  let calls = 0;
  const queue = new SubmitQueue(async () => {
    calls += 1;
    throw new MusterError("away", { code: Code.Unavailable });
  });
  const ends = await Promise.allSettled([queue.submit(spec("1"), 1000), queue.submit(spec("2"), 1000)]);
  assert.deepEqual(
    ends.map(({ status }) => status),
    ["rejected", "rejected"],
  );
  assert.equal(calls, 1);
});

test("a shared call stays below a message's size", async () => {
  const sizes: number[] = [];
  const queue = new SubmitQueue(async (specs) => {
    sizes.push(specs.length);
    return answer(specs);
  });
  await Promise.all(Array.from({ length: 5 }, (_, n) => queue.submit(spec(String(n), 400_000), 1000)));
  assert.deepEqual(sizes, [2, 2, 1]);
});

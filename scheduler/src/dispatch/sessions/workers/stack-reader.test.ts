import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { WorkerRecord } from "../../../domain/workers/worker.ts";
import type { Command } from "../../../store/store.ts";
import { ManualClock } from "../../../testing/manual-clock.ts";
import { recordedLog } from "../../testing/recorded-log.ts";
import { StackReader, type StackReaderParts } from "./stack-reader.ts";

const STACK = new Uint8Array([1, 2, 0, 255]);

/** Two schedulers; the stream of session 7 is at `two` unless `here` is given. */
function setUp({ here = false, connected = true }: { here?: boolean; connected?: boolean } = {}) {
  const clock = new ManualClock();
  const sent: { to: string; command: Command }[] = [];
  const asked: { requestId: string; attemptId: string }[] = [];
  const session = {
    id: 7,
    lastBeat: {},
    lastBeatAt: clock.monotonic(),
    link: {
      requestStack: (requestId: string, attemptId: string) => void asked.push({ requestId, attemptId }),
    },
  };
  const { log, events } = recordedLog();
  const readerAt = (schedulerId: string, holds: boolean) =>
    new StackReader({
      store: {
        leaseHolders: async () => new Map(connected ? [[7, here ? "one" : "two"]] : []),
        sendCommand: async (to: string, command: Command) => void sent.push({ to, command }),
      },
      registry: { byId: (id: number) => (holds && id === 7 ? session : undefined) },
      ...{ clock, log, schedulerId },
    } as unknown as StackReaderParts);
  const worker = {
    sessionId: 7,
    workerId: "gpu-7",
    hello: { features: ["stacks"], sdk: "@muster/worker 0.1.0 typescript" },
    heartbeatTime: new Date(clock.now()),
  } as unknown as WorkerRecord;
  return { asked, clock, events, one: readerAt("one", here), sent, two: readerAt("two", !here), worker };
}

/** Lets what has been resolved go on. */
const turn = (): Promise<void> => new Promise(setImmediate);

describe("stacks of workers", () => {
  it("asks over the stream, and takes the answer of that session to that request alone", async () => {
    const { asked, one, worker } = setUp({ here: true });
    const read = one.read(worker, "t-1.1", 10_000);
    const [{ requestId, attemptId } = { requestId: "", attemptId: "" }] = asked;
    assert.equal(attemptId, "t-1.1");
    one.answered({ id: 8 }, requestId, () => ({ error: "another session's" }));
    one.answered({ id: 7 }, "unknown", () => ({ error: "of no request" }));
    one.answered({ id: 7 }, requestId, () => ({ stack: STACK }));
    assert.deepEqual(await read, STACK);
    one.answered({ id: 7 }, requestId, () => ({ error: "late" }));
  });

  it("asks the scheduler that has the stream, and gets its answer back", async () => {
    const { asked, one, sent, two, worker } = setUp();
    const read = one.read(worker, "", 10_000);
    await turn();
    const [request] = sent.splice(0);
    assert.deepEqual([request?.to, request?.command.kind], ["two", "stack"]);
    const other = two.answerOther(7, request?.command.body ?? {});
    two.answered({ id: 7 }, asked[0]?.requestId ?? "", () => ({ stack: STACK }));
    await other;
    const [answer] = sent.splice(0);
    assert.deepEqual([answer?.to, answer?.command.kind], ["one", "stack_answer"]);
    one.otherAnswered(7, answer?.command.body ?? {});
    assert.deepEqual(new Uint8Array(await read), STACK);
  });

  it("says when the stream has moved, and what the worker refuses", async () => {
    const { one, sent, worker } = setUp();
    const read = one.read(worker, "", 10_000);
    await turn();
    await one.answerOther(7, sent[0]?.command.body ?? {});
    one.otherAnswered(7, sent[1]?.command.body ?? {});
    await assert.rejects(read, {
      reason: "STACKS_REFUSED",
      message:
        "worker gpu-7 does not say where its handlers are: its stream has moved to another scheduler or ended; ask again",
    });
  });

  it("says of whom what was asked when there is no answer, with the age of the last heartbeat", async () => {
    const { clock, events, one, sent, two, worker } = setUp();
    const read = one.read(worker, "t-1.2", 10_000);
    await turn();
    const other = two.answerOther(7, sent[0]?.command.body ?? {});
    await Promise.all([
      assert.rejects(read, {
        reason: "STACK_NOT_ANSWERED",
        message:
          "worker gpu-7 was asked through scheduler two where the handler of t-1.2 is, and has not answered within 10 s; its last heartbeat arrived 10 s ago",
      }),
      clock.pass(10_000),
    ]);
    await other;
    assert.equal(sent.length, 1, "the other one answers nothing late");
    assert.deepEqual(events, []);
  });

  it("refuses a worker of an older version, one without a stream, and more requests than 100", async () => {
    const { one, worker } = setUp({ here: true });
    const old = { ...worker, hello: { ...worker.hello, features: [] } };
    await assert.rejects(one.read(old, "", 10_000), { reason: "STACKS_NOT_SUPPORTED" });
    const { one: alone, worker: away } = setUp({ connected: false });
    await assert.rejects(alone.read(away, "", 10_000), { reason: "WORKER_NOT_CONNECTED" });
    const { clock, one: busy, worker: asked } = setUp({ here: true });
    const reads = Array.from({ length: 100 }, () => busy.read(asked, "", 10_000));
    const all = Promise.allSettled(reads);
    await assert.rejects(busy.read(asked, "", 10_000), { reason: "TOO_MANY_STACKS" });
    await clock.pass(10_000);
    assert.ok((await all).every(({ status }) => status === "rejected"));
    const next = busy.read(asked, "", 10_000);
    await Promise.all([assert.rejects(next, { reason: "STACK_NOT_ANSWERED" }), clock.pass(10_000)]);
  });
});

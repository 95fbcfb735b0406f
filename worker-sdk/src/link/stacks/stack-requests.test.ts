import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { MAX_STACK_BYTES, type WorkerStack, WorkerStackSchema } from "@muster/protocol";
import { systemClock } from "../../clock.ts";
import type { WorkerMessageKind } from "../codec/wire.ts";
import type { FromLink } from "../messages.ts";
import { InFlightAttempts } from "../outbox/in-flight.ts";
import { selected } from "./select-stack.ts";
import { StackRequests, type StackRequestsParts } from "./stack-requests.ts";

/** Requests of a worker with a main loop that turns and an isolated handler of `t-1.1`. */
function setUp(stacks = true) {
  const attempts = new InFlightAttempts();
  for (const id of ["t-1.1", "t-2.1"]) attempts.add(id, systemClock.monotonicMs());
  const asked: FromLink[] = [];
  const answers: { requestId: string; error: string; stack: WorkerStack | undefined }[] = [];
  const all = Promise.withResolvers<void>();
  let wanted = 1;
  const requests = new StackRequests({
    clock: systemClock,
    data: { isolates: true, redactPatterns: [/secret-\d/g], stacks },
    shared: {
      get lastTickMs() {
        return systemClock.monotonicMs();
      },
    },
    attempts,
    send: (kind: WorkerMessageKind) => {
      assert.equal(kind.case, "stackReport");
      const { requestId = "", error = "", stack } = kind.value as (typeof answers)[number];
      answers.push({ requestId, error, stack });
      if (answers.length === wanted) all.resolve();
    },
    emit: (message: FromLink) => {
      asked.push(message);
      requests.isolated([{ attemptId: "t-1.1", pid: 1, frames: ["at secret-1"] }]);
    },
  } satisfies StackRequestsParts);
  const ask = async (...attemptIds: string[]) => {
    wanted = attemptIds.length;
    for (const [at, attemptId] of attemptIds.entries()) requests.asked({ requestId: String(at), attemptId });
    await all.promise;
    return answers.toSorted((a, b) => Number(a.requestId) - Number(b.requestId));
  };
  return { ask, asked };
}

describe("requests for the stacks of a worker", () => {
  it("share a reading, and each gets what it asked for; those beyond 32 are refused", async () => {
    const { ask, asked } = setUp();
    const answers = await ask("", "t-1.1", "t-9.1", ...Array(31).fill("t-2.1"));
    assert.deepEqual(asked, [{ kind: "isolatedStacks" }]);
    const held = answers.map(
      ({ error, stack }) => stack?.attempts.map(({ attemptId }) => attemptId) ?? error,
    );
    assert.deepEqual(held.slice(0, 4), [
      ["t-1.1", "t-2.1"],
      ["t-1.1"],
      "attempt t-9.1 is not held by this worker any more",
      ["t-2.1"],
    ]);
    assert.equal(held.at(-1), "32 requests for the stacks of this worker are under way; ask again");
    assert.equal(held.filter((each) => typeof each === "string").length, 2);
    assert.deepEqual(answers[0]?.stack?.mainFrames, [], "the loop turns");
  });

  it("are refused where it is switched off, and nothing is read", async () => {
    const { ask, asked } = setUp(false);
    const [answer] = await ask("");
    assert.match(answer?.error ?? "", /switched off at this worker: WORKER_STACKS/);
    assert.deepEqual([answer?.stack, asked], [undefined, []]);
  });

  it("get at most 45 KiB, with the number of processes that are left out, and the reading stays whole", () => {
    const frames = Array<string>(20).fill("x".repeat(300));
    const whole = create(WorkerStackSchema, {
      processes: Array.from({ length: 40 }, (_, pid) => ({ pid, attemptId: pid % 2 ? "t-1.1" : "", frames })),
    });
    const all = selected(whole, "");
    assert.ok(toBinary(WorkerStackSchema, all).byteLength <= MAX_STACK_BYTES);
    assert.ok(all.processes.length > 0);
    assert.equal(all.processes.length + all.omittedProcessCount, 40);
    const one = selected(whole, "t-2.1");
    assert.ok(one.processes.every(({ attemptId }) => attemptId === ""));
    assert.equal(whole.processes.length, 40);
  });
});

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { settled } from "../../testing/manual-clock.ts";
import type { OutgoingAssignment } from "../sessions/link.ts";
import type { Session } from "../sessions/session.ts";
import { HotPath } from "../testing/hot-path.ts";
import { madeAttempt } from "../testing/made-attempt.ts";
import { madeSession } from "../testing/made-session.ts";

describe("assignment sender", () => {
  let hot: HotPath;

  beforeEach(() => {
    hot = new HotPath();
  });

  /** A worker for which a task is being claimed; `claim` lets the database answer. */
  async function claimUnderWay() {
    await hot.waiting(1);
    await hot.poll();
    const claim = hot.faults.hold("claim");
    const worker = hot.worker();
    await settled();
    return { worker, claim };
  }

  /** The session of the worker's next stream, and what is sent on it. */
  function reconnected({ id }: Session) {
    const sent: string[] = [];
    const session = madeSession({ id, types: { echo: 0 }, link: { assign: () => void sent.push("now") } });
    hot.dispatch.registry.add(session);
    return { session, sent };
  }

  it("sends each worker one frame, in the order in which its tasks were planned", async () => {
    await hot.poll();
    hot.worker({ slots: 3 });
    hot.worker({ slots: 3 });
    await hot.waiting(6);
    await hot.poll();
    assert.deepEqual(hot.sent, ["w-1 assign t-1.1 t-3.1 t-5.1", "w-2 assign t-2.1 t-4.1 t-6.1"]);
  });

  it("sends what the worker needs: the payload as it was submitted, and which of how many attempts it is", async () => {
    const given = {
      payload: Buffer.from([0, 255]),
      contentType: "image/png",
      headers: { traceparent: "x" },
      options: { timeouts: { runMs: 7 } },
    };
    await hot.waiting(1, given);
    await hot.poll();
    const sent: OutgoingAssignment[] = [];
    hot.worker({ link: { assign: (assignments) => void sent.push(...assignments) } });
    await hot.poll();
    const { key, type, queue, attemptNumber, maxAttempts, ...rest } = sent[0] ?? assert.fail();
    assert.deepEqual([key, type, queue], [{ taskId: 1, epoch: 1 }, "echo", "default"]);
    assert.deepEqual([attemptNumber, maxAttempts], [1, 4], "3 retries by default");
    assert.deepEqual({ ...rest }, { ...given, resources: [], cost: undefined, checkpoint: undefined });
  });

  it("sends on the stream on which the worker came back while the claim was under way", async () => {
    const { worker: before, claim } = await claimUnderWay();
    const { session: now, sent } = reconnected(before);
    claim();
    await settled();
    assert.deepEqual([hot.sent, sent], [[], ["now"]]);
    assert.deepEqual([now.attempts.size, before.attempts.size], [1, 0]);
    assert.equal(now.credit, 0, "its slot is occupied, although no place was kept there");
  });

  it("keeps an assignment for a worker whose stream dropped while the claim was under way", async () => {
    const { worker, claim } = await claimUnderWay();
    worker.drop(0);
    claim();
    await settled();
    assert.deepEqual(hot.sent, []);
    assert.equal(worker.attempts.get(1)?.epoch, 1);
    assert.equal(hot.tables.open.get(1)?.state, "assigned");
  });

  it("does not send an attempt that the worker got meanwhile by its registration", async () => {
    const { worker: before, claim } = await claimUnderWay();
    const { session: now, sent } = reconnected(before);
    now.hold(madeAttempt(), false);
    claim();
    await settled();
    assert.deepEqual([hot.sent, sent], [[], []]);
  });

  it("revokes the attempt of a worker that did not accept in time when its task is assigned again", async () => {
    await hot.waiting(1);
    await hot.poll();
    const slow = hot.worker();
    await settled();
    const attempt = slow.attempts.get(1);
    assert.ok(attempt);
    slow.drain();
    const { committer, lapsed } = hot.dispatch;
    lapsed.add(slow, attempt, committer.endAttempt(slow, attempt, { kind: "unaccepted" }));
    await settled();
    hot.worker();
    await hot.poll();
    assert.deepEqual(hot.sent, ["w-1 assign t-1.1", "w-1 revoke t-1.1", "w-2 assign t-1.2"]);
  });

  it("measures how long a task waited for its assignment", async () => {
    const [id = 0] = await hot.waiting(1);
    await hot.poll();
    await hot.clock.pass(3_000);
    hot.worker();
    await settled();
    const { waits } = hot.dispatch.counters.classes.of(hot.tables.open.get(id)?.classId ?? 0);
    assert.deepEqual([waits.count, waits.sum], [1, 3]);
  });
});

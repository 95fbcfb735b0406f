import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { RawScheduler } from "../../test/support/peers/raw-scheduler.ts";
import { RevokedError } from "./index.ts";

import { connected } from "./worker-fixture.test.ts";

test("unacknowledged results are sent again on the next stream, with the same session and what is in flight", async () => {
  const gate = Promise.withResolvers<void>();
  const server = await RawScheduler.start({ autoAckResults: false });
  await using setup = await connected(
    { concurrency: 3, tasks: { quick: () => 1, slow: () => gate.promise } },
    server,
  );
  const first = setup.stream;
  first.assign("t-1.1", "quick");
  first.assign("t-2.1", "slow");
  await first.next("taskResults");
  await first.next("taskEvent", ({ name, attemptId }) => name === "task.started" && attemptId === "t-2.1");
  first.cut();
  const second = await server.stream(1);
  const hello = await second.next("hello");
  assert.equal(hello.sessionId, (await first.next("hello")).sessionId);
  assert.equal(hello.ready, true);
  assert.match(hello.lastError, /UNAVAILABLE/);
  assert.deepEqual(
    hello.inFlight.map(({ attemptId, resultPending }) => [attemptId, resultPending]),
    [
      ["t-1.1", true],
      ["t-2.1", false],
    ],
  );
  const again = await second.next("taskResults");
  assert.deepEqual(
    again.results.map(({ attemptId }) => attemptId),
    ["t-1.1"],
  );
  const accepted = await second.next("taskAccepted");
  assert.deepEqual(accepted.attemptIds, ["t-1.1", "t-2.1"]);
  for (const id of accepted.attemptIds) {
    assert.equal((await second.next("taskEvent", ({ attemptId }) => attemptId === id)).sequence, 1n);
  }
  const kinds = second.kinds();
  assert.ok(kinds.indexOf("taskEvent") < kinds.indexOf("taskResults"), "the result comes last");
  second.ack("t-1.1");
  second.ackResults = true;
  gate.resolve();
  await second.next("taskResults", ({ results }) => results[0]?.attemptId === "t-2.1");
  const beat = await second.next("heartbeat", ({ running }) => running.length === 0);
  assert.equal(beat.counters.reconnects, 1n);
});

test("an attempt that a reconnect does not keep is revoked and its result dropped", async () => {
  const server = await RawScheduler.start();
  const aborted = Promise.withResolvers<unknown>();
  await using setup = await connected(
    {
      concurrency: 2,
      tasks: {
        slow: async (ctx) => {
          await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
          aborted.resolve(ctx.signal.reason);
          return 1;
        },
        quick: () => 2,
      },
    },
    server,
  );
  setup.stream.assign("t-1.1", "slow");
  await setup.stream.next("taskEvent", ({ name }) => name === "task.started");
  Object.assign(server.options, {
    welcome: { decisions: [{ attemptId: "t-1.1", keep: false, reason: "lost" }] },
  });
  setup.stream.cut();
  const second = await server.stream(1);
  assert.ok((await aborted.promise) instanceof RevokedError);
  second.assign("t-2.1", "quick");
  await second.next("taskResults", ({ results }) => results[0]?.attemptId === "t-2.1");
  const reported = second
    .all("taskResults")
    .flatMap(({ results }) => results.map(({ attemptId }) => attemptId));
  assert.deepEqual(reported, ["t-2.1"]);
});

test("heartbeats without an acknowledgement make the worker dial again", async () => {
  const server = await RawScheduler.start({ heartbeatMs: 50 });
  await using setup = await connected({ tasks: { t: () => 1 } }, server);
  setup.stream.ackBeats = false;
  const second = await server.stream(1);
  assert.match((await second.next("hello")).lastError, /heartbeats unanswered/);
});

test("reaches a scheduler that takes a moment longer than the first dial waits", async () => {
  const brief = create(DurationSchema, { seconds: 1n });
  const server = await RawScheduler.start({
    autoWelcome: false,
    welcome: { lease: create(DurationSchema, { seconds: 30n }), reconnectGrace: brief },
  });
  const starting = connected({ tasks: { t: () => 1 } }, server);
  const first = await server.stream();
  await first.next("hello");
  first.welcome();
  await using _setup = await starting;
  first.cut();
  // Half a second for the first dial, twice as long for each that follows.
  for (let index = 1; ; index += 1) {
    const stream = await server.stream(index);
    await stream.next("hello");
    const gaveUp = await Promise.race([stream.closed.then(() => true), sleep(700).then(() => false)]);
    if (gaveUp) continue;
    assert.ok(index > 1 && index < 6, `reached with dial ${index}`);
    stream.welcome();
    await stream.next("heartbeat");
    return;
  }
});

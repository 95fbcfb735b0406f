import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { systemClock } from "../../../clock.ts";
import { Listener, parseHint } from "./notify.ts";

describe("a notification's hint", () => {
  it("is what this version sends", () => {
    for (const hint of [
      { kind: "queue" },
      { kind: "work", classIds: [1, 2] },
      { kind: "work", classIds: [] },
      { kind: "command", schedulerId: "s" },
      { kind: "task", taskId: 7 },
    ]) {
      assert.deepEqual(parseHint(JSON.stringify(hint)), hint);
    }
  });

  it("is nothing when anybody else sends anything else", () => {
    for (const payload of [
      undefined,
      "",
      "{",
      "{}",
      "[]",
      "null",
      "hello",
      '{"kind":"newer"}',
      '{"kind":"work"}',
      '{"kind":"command","schedulerId":7}',
      '{"kind":"task","taskId":"7"}',
    ]) {
      assert.equal(parseHint(payload), undefined, payload);
    }
  });

  it("keeps only the ids of a list", () => {
    assert.deepEqual(parseHint('{"kind":"work","classIds":[1,"2",null,3]}'), {
      kind: "work",
      classIds: [1, 3],
    });
  });
});

describe("a listener whose database is away", () => {
  it("reports it at growing intervals", async () => {
    const told: number[] = [];
    let tries = 0;
    const all = Promise.withResolvers<void>();
    const listener = new Listener(
      async () => {
        tries += 1;
        if (tries === 20) all.resolve();
        throw new Error("away");
      },
      { ...systemClock, sleep: () => new Promise((resolve) => setImmediate(resolve)) },
    );
    listener.start(
      () => undefined,
      () => undefined,
      () => told.push(tries),
    );
    await all.promise;
    await listener.close();
    assert.deepEqual(told, [1, 2, 4, 8, 16]);
  });
});

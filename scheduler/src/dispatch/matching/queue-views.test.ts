import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { systemClock } from "../../clock.ts";
import type { TaskClass } from "../../domain/matching/match.ts";
import { Admission } from "../admission/admission.ts";
import { PausedQueues } from "../admission/paused-queues.ts";
import type { QueueViewEntry } from "../sessions/link.ts";
import { Registry } from "../sessions/registry.ts";
import type { Session } from "../sessions/session.ts";
import { madeSession } from "../testing/made-session.ts";
import { QueueViews } from "./queue-views.ts";

const INTERVAL_MS = 5_000;

function taskClass(id: number, type: string, resources: readonly string[] = []): TaskClass {
  return { id, queue: "default", type, requirements: { labels: {}, resources } };
}

const CLASSES = [
  taskClass(1, "llm", ["model:x"]),
  taskClass(2, "ocr"),
  taskClass(3, "llm", ["model:y"]),
  taskClass(4, "tts"),
];

describe("the queue views of idle workers", () => {
  let now: number;
  let reads: number;
  let counts: Map<number, number>;
  let paused: PausedQueues;
  let registry: Registry;
  let views: QueueViews;
  let seen: { worker: string; entries: readonly QueueViewEntry[] }[];

  beforeEach(() => {
    now = 0;
    reads = 0;
    counts = new Map();
    paused = new PausedQueues();
    seen = [];
    registry = new Registry();
    views = new QueueViews({
      classes: {
        get: (id) => CLASSES.flatMap((each) => (each.id === id ? [{ taskClass: each }] : []))[0],
      },
      registry,
      backlog: {
        read: () => {
          reads += 1;
          return Promise.resolve(counts);
        },
      },
      admission: new Admission([paused], { clock: systemClock, onFreed: () => undefined }),
      clock: { ...systemClock, monotonic: () => now },
      intervalMs: INTERVAL_MS,
    });
  });

  function join(id: number): Session {
    const session = madeSession({
      id,
      types: { llm: 0, tts: 0 },
      link: { queueView: (entries) => seen.push({ worker: `w-${id}`, entries }) },
    });
    registry.add(session);
    return session;
  }

  async function run(afterMs: number): Promise<number> {
    now += afterMs;
    const before = seen.length;
    await views.runOnce();
    return seen.length - before;
  }

  it("nothing is counted while no worker is idle", async () => {
    counts.set(2, 5);
    join(1).reserve({ type: "llm", requirements: {} });
    const draining = join(2);
    draining.drain();
    assert.deepEqual([await run(INTERVAL_MS), reads], [0, 0]);
  });

  it("the largest first, alike ones together, each with the filter", async () => {
    counts = new Map([
      [1, 100],
      [2, 3],
      [3, 25],
      [4, 1],
    ]);
    join(1);
    assert.equal(await run(0), 1);
    assert.deepEqual(seen[0]?.entries, [
      {
        queue: "default",
        type: "llm",
        ready: 125,
        removedBy: "resources",
        detail: "model:x is not loaded on it",
      },
      { queue: "default", type: "ocr", ready: 3, removedBy: "type", detail: "it has no handler for ocr" },
      {
        queue: "default",
        type: "tts",
        ready: 1,
        removedBy: "",
        detail: "it may run them; none was assigned to it yet",
      },
    ]);
    paused.setPaused(["default"]);
    await run(INTERVAL_MS);
    assert.equal(seen[1]?.entries.find(({ type }) => type === "tts")?.removedBy, "queue_paused");
  });

  it("only when the picture changes, less often while only the depths do, and once that it is over", async () => {
    join(1);
    counts.set(1, 125);
    assert.equal(await run(0), 1);
    counts.set(1, 123);
    assert.equal(await run(INTERVAL_MS - 1), 0);
    assert.equal(await run(1), 1);
    counts.set(1, 120);
    assert.equal(await run(INTERVAL_MS), 0, "the wait has doubled");
    assert.equal(await run(INTERVAL_MS), 1);
    assert.equal(await run(INTERVAL_MS * 100), 0, "nothing has changed");
    counts.set(2, 1);
    assert.equal(await run(INTERVAL_MS * 100), 1);
    counts.clear();
    assert.equal(await run(INTERVAL_MS), 1, "another kind is sent after the first wait again");
    assert.deepEqual(seen.at(-1)?.entries, []);
    assert.equal(await run(INTERVAL_MS), 0);
  });

  it("that others were faster, also when nothing is left", async () => {
    const session = join(1);
    session.loseRace(4);
    session.loseRace(4);
    assert.equal(await run(0), 1);
    assert.deepEqual(seen[0]?.entries, [
      {
        queue: "default",
        type: "tts",
        ready: 0,
        removedBy: "",
        detail: "lost race: 2 were claimed by others first",
      },
    ]);
  });
});

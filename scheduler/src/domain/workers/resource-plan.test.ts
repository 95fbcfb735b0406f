import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FleetMember } from "../explain/fleet.ts";
import { HELLO } from "../testing/made-records.ts";
import { planResource, type Want } from "./resource-plan.ts";
import type { ResourceStateRecord } from "./worker.ts";

const RETRY_MS = 10_000;

interface Shape {
  readonly loaded?: readonly string[];
  readonly loadable?: readonly string[] | false;
  readonly slots?: number;
  readonly credit?: number;
  readonly type?: string;
  readonly draining?: boolean;
  readonly ready?: boolean;
  readonly asked?: number;
  readonly times?: number;
  readonly state?: Partial<ResourceStateRecord>;
}

function member(workerId: string, shape: Shape = {}): FleetMember {
  const { loadable = [], slots = 1, credit = slots } = shape;
  const type = shape.type ?? "llm";
  const state = shape.state && {
    resource: "x",
    state: "loading",
    ageMs: 0,
    failures: 0,
    error: "",
    ...shape.state,
  };
  const asked = shape.asked !== undefined || state;
  return {
    record: {
      sessionId: 1,
      sessionUuid: "",
      workerId,
      schedulerId: "s",
      hello: {
        ...HELLO,
        types: [{ type, concurrency: 0 }],
        slots,
        features: loadable === false ? [] : ["prepare_resource"],
        loadable: loadable === false ? [] : loadable,
      },
      phases: [],
      ready: true,
      draining: false,
      connectTime: new Date(0),
      heartbeatTime: undefined,
      leaseUntil: undefined,
      disconnected: false,
      heartbeat: undefined,
      goneTime: undefined,
      goneReason: undefined,
      fatal: undefined,
      activeCount: 0,
    },
    state: "ready",
    candidate: {
      workerId,
      ready: shape.ready ?? true,
      draining: shape.draining ?? false,
      pauseReason: undefined,
      queues: new Set(["default"]),
      types: new Map([[type, { limit: Number.POSITIVE_INFINITY, active: 0 }]]),
      labels: {},
      resources: new Set(shape.loaded ?? []),
      slots: 1,
      capacities: new Map(),
      credit,
    },
    elsewhere: false,
    ageMs: 0,
    held: [],
    asks: new Map(
      asked
        ? [
            [
              "x",
              { askedAgeMs: shape.asked, askCount: shape.times ?? 1, state: state as ResourceStateRecord },
            ],
          ]
        : [],
    ),
    idleMs: undefined,
    graceLeftMs: undefined,
    heartbeatMs: 5_000,
    stalledMs: undefined,
    unreadCount: 0,
  };
}

function want(waiting: number, resources: readonly string[] = ["x"]): Want {
  const taskClass = { id: 1, queue: "default", type: "llm", requirements: { labels: {}, resources } };
  return { resource: "x", classes: [taskClass], waiting };
}

function asks(waiting: number, fleet: readonly FleetMember[], resources?: readonly string[]): string[] {
  return planResource(want(waiting, resources), fleet, RETRY_MS).ask.map(
    ({ candidate }) => candidate.workerId,
  );
}

describe("whom to ask for a resource", () => {
  it("as many as the depth warrants, those nearest to running it first", () => {
    const fleet = [
      member("busy", { credit: 0 }),
      member("b"),
      member("a"),
      member("near", { loaded: ["y"] }),
      member("cannot", { loadable: false }),
      member("other", { loadable: ["model:*"] }),
      member("wrong", { type: "ocr" }),
      member("leaving", { draining: true }),
      member("away", { ready: false }),
    ];
    assert.deepEqual(asks(1, fleet), ["a"]);
    assert.deepEqual(asks(1, fleet, ["x", "y"]), ["near"]);
    assert.deepEqual(asks(9, fleet), ["a", "b", "near"]);
    assert.deepEqual(asks(10_000, fleet), ["a", "b", "near", "busy"]);
    assert.deepEqual(asks(9, [member("wide", { slots: 8 }), member("w2")]), ["w2", "wide"]);
  });

  it("no worker, while those that have or load it are enough", () => {
    const loading = member("loading", { asked: 100, state: { state: "loading" } });
    assert.deepEqual(asks(4, [loading, member("a")]), []);
    assert.deepEqual(asks(5, [loading, member("a")]), ["a"]);
    assert.deepEqual(asks(4, [member("has", { loaded: ["x"] }), member("a")]), []);
  });

  it("another when one failed, and that one again after growing waits", () => {
    const failed = (ageMs: number, failures: number) =>
      member("failed", { asked: 60_000, state: { state: "failed", ageMs, failures } });
    assert.deepEqual(asks(1, [failed(0, 1), member("a")]), ["a"]);
    assert.deepEqual(asks(1, [failed(9_000, 1)]), []);
    assert.deepEqual(asks(1, [failed(10_000, 1)]), ["failed"]);
    assert.deepEqual(asks(1, [failed(39_000, 3)]), []);
    assert.deepEqual(asks(1, [failed(40_000, 3)]), ["failed"]);
    assert.deepEqual(asks(1, [failed(319_000, 99)]), []);
    assert.deepEqual(asks(1, [failed(320_000, 99)]), ["failed"]);
  });

  it("once more, who has not begun", () => {
    assert.deepEqual(asks(1, [member("deaf", { asked: 9_000 })]), []);
    assert.deepEqual(asks(1, [member("deaf", { asked: 10_000 })]), ["deaf"]);
    assert.deepEqual(asks(1, [member("deaf", { asked: 15_000, times: 2 })]), []);
  });

  it("by name or prefix, where a worker says what it can load", () => {
    assert.deepEqual(asks(1, [member("named", { loadable: ["y", "x"] })]), ["named"]);
    assert.deepEqual(asks(1, [member("prefix", { loadable: ["*"] })]), ["prefix"]);
    assert.deepEqual(asks(1, [member("not", { loadable: ["xy"] })]), []);
  });

  it("has the workers that have it, that lack it and that were asked", () => {
    const fleet = [
      member("has", { loaded: ["x"] }),
      member("lacks"),
      member("asked", { asked: 1 }),
      member("no", { type: "ocr" }),
    ];
    const plan = planResource(want(1), fleet, RETRY_MS);
    const shown = [plan.have, plan.lack, plan.asked].map((list) =>
      list.map(({ candidate }) => candidate.workerId),
    );
    assert.deepEqual(shown, [["has"], ["lacks", "asked"], ["asked"]]);
  });
});

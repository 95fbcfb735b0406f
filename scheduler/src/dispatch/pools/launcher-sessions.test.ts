import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Refusal } from "../../domain/errors.ts";
import { madeObservation, madeSpec } from "../../domain/testing/made-pools.ts";
import type { LauncherClaim, LaunchToSend, StopToSend } from "../../store/store.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { recordedLog } from "../testing/recorded-log.ts";
import { type LauncherOrder, LauncherSessions, type ReportedLaunch } from "./launcher-sessions.ts";

const HEARTBEAT_MS = 5_000;
const LEASES = { heartbeatMs: HEARTBEAT_MS, leaseMs: 30_000, graceMs: 15_000, acceptDeadlineMs: 5_000 };

const seen = (launchId: string, given: Partial<ReportedLaunch> = {}): ReportedLaunch => {
  const { atMs: _, ...observation } = madeObservation();
  return { ...observation, launchId, ...given };
};

function setUp() {
  const clock = new ManualClock();
  const rows = {
    open: new Set<string>(),
    ended: new Set<string>(),
    launches: [] as LaunchToSend[],
    stops: [] as StopToSend[],
    leased: ["gpu"],
  };
  const calls = { leases: [] as LauncherClaim[], released: [] as string[], ends: 0 };
  const sessions = new LauncherSessions({
    store: {
      leasePools: async (claim) => {
        calls.leases.push(claim);
        return rows.leased;
      },
      releasePools: async (session) => void calls.released.push(session),
      takeLaunches: async (_launcher, _session, _pools, sent) =>
        rows.launches.filter(({ launchId }) => !sent.includes(launchId)),
      launchStops: async () => rows.stops,
      endedLaunches: async (ids) => ids.filter((id) => rows.ended.has(id)),
      observeLaunches: async (_launcher, observed) => {
        const ids = observed.map(({ launchId }) => launchId);
        return {
          unknown: ids.filter((id) => !rows.open.has(id) && !rows.ended.has(id)),
          ended: ids.filter((id) => rows.ended.has(id)),
        };
      },
    },
    clock,
    log: recordedLog().log,
    leases: LEASES,
  });
  sessions.onEnded(() => {
    calls.ends++;
  });
  const connect = async (
    session: string,
    launches: readonly ReportedLaunch[] = [],
    launcherId = "host-1",
  ) => {
    const orders: LauncherOrder[] = [];
    const refusals: Refusal[] = [];
    const identity = {
      ...{ launcherId, session, hostname: "host", program: "p" },
      drivers: ["process"],
      pools: [],
    };
    const link = {
      send: (order: LauncherOrder) => void orders.push(order),
      end: (refusal: Refusal) => void refusals.push(refusal),
    };
    const launcher = await sessions.connect(identity, launches, link);
    return { launcher, orders, refusals, kinds: () => orders.map(({ kind }) => kind) };
  };
  return { clock, rows, calls, sessions, connect };
}

const order = (launchId: string): LaunchToSend => ({ launchId, pool: "gpu", spec: madeSpec() });

describe("launchers that are connected", () => {
  it("receive their pools and each launch once in a session, and again in the next one unless it runs", async () => {
    const { rows, sessions, connect } = setUp();
    rows.open.add("gpu-1").add("gpu-2");
    rows.launches.push(order("gpu-1"), order("gpu-2"));
    const first = await connect("one");
    await sessions.runOnce();
    await sessions.runOnce();
    assert.deepEqual(first.kinds(), ["leases", "launch", "launch"]);
    const second = await connect("two", [seen("gpu-1"), seen("gpu-2", { phase: "pending" })]);
    assert.equal(first.refusals[0]?.reason, "LAUNCHER_SUPERSEDED");
    await sessions.runOnce();
    assert.deepEqual(
      second.orders.flatMap((each) => (each.kind === "launch" ? each.launch.launchId : [])),
      ["gpu-2"],
    );
  });

  it("renew their leases once a heartbeat, and at once when a pool has changed", async () => {
    const { clock, calls, sessions, connect } = setUp();
    const { launcher, kinds } = await connect("one");
    await sessions.runOnce();
    await sessions.runOnce();
    assert.deepEqual(
      calls.leases.map(({ first }) => first),
      [true],
    );
    sessions.poolsChanged();
    await sessions.runOnce();
    assert.equal(calls.leases.length, 2);
    launcher.heartbeat();
    await clock.pass(HEARTBEAT_MS);
    await sessions.runOnce();
    assert.equal(calls.leases.length, 3);
    assert.deepEqual(kinds(), ["leases"], "the pools are the same");
  });

  it("receive a stop once, and the acknowledgement of an end when it is recorded", async () => {
    const { rows, calls, sessions, connect } = setUp();
    rows.open.add("gpu-1");
    const { launcher, orders, kinds } = await connect("one", [seen("gpu-1")]);
    rows.stops.push({ launchId: "gpu-1", reason: "idle", endMs: 1 });
    await sessions.runOnce();
    await sessions.runOnce();
    assert.deepEqual(kinds(), ["leases", "stop"]);
    await launcher.observe([seen("gpu-1", { phase: "ended" })]);
    assert.equal(calls.ends, 1, "the controller looks");
    await sessions.runOnce();
    assert.deepEqual(kinds(), ["leases", "stop"], "its end is not recorded yet");
    rows.ended.add("gpu-1");
    rows.stops.length = 0;
    await sessions.runOnce();
    assert.deepEqual(orders.at(-1), { kind: "acknowledge", launchIds: ["gpu-1"] });
  });

  it("get one order to end what no pool knows, and that ends of it are recorded", async () => {
    const { rows, connect } = setUp();
    rows.ended.add("gpu-9");
    const { launcher, orders } = await connect("one", [seen("gpu-8"), seen("gpu-9")]);
    assert.deepEqual(
      orders.map((each) => (each.kind === "stop" ? [each.launchId, each.reason] : [])),
      [
        ["gpu-8", "no pool of this scheduler has a launch of this id"],
        ["gpu-9", "its launch has ended"],
      ],
    );
    await launcher.observe([seen("gpu-8")]);
    assert.equal(orders.length, 2);
    await launcher.observe([seen("gpu-8", { phase: "ended" })]);
    assert.deepEqual(orders.at(-1), { kind: "acknowledge", launchIds: ["gpu-8"] });
  });

  it("are cut off after three missing heartbeats; one that closes its stream gives its pools up at once", async () => {
    const { clock, calls, sessions, connect } = setUp();
    const silent = await connect("one");
    await clock.pass(3 * HEARTBEAT_MS + 1);
    await sessions.runOnce();
    assert.equal(silent.refusals[0]?.reason, "LAUNCHER_SILENT");
    assert.equal(sessions.size, 0);
    await silent.launcher.disconnected(false);
    const broken = await connect("two");
    await broken.launcher.disconnected(false);
    assert.deepEqual(calls.released, [], "it may come back");
    const closing = await connect("three");
    await closing.launcher.disconnected(true);
    assert.deepEqual(calls.released, ["three"]);
  });
});

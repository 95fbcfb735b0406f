import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  LaunchGuardState,
  PoolLaunchOutcome,
  PoolLaunchState,
  PoolSchema,
  RolloutState,
} from "@muster/protocol";
import { launchLook, poolLook } from "./pool-state.ts";

const now = { seconds: 1n };

describe("the state of a pool", () => {
  const look = (facts: MessageInitShape<typeof PoolSchema>) =>
    poolLook(
      create(PoolSchema, {
        launcherConnected: true,
        launcherId: "l",
        launchGuard: { state: LaunchGuardState.CLOSED },
        ...facts,
      } as MessageInitShape<typeof PoolSchema>),
    ).word;

  it("is what keeps workers away before what goes on", () => {
    const open = { launchGuard: { state: LaunchGuardState.OPEN } };
    assert.equal(look({ ...open, launcherConnected: false, pauseTime: now }), "launches suspended");
    assert.equal(look({ launchGuard: { state: LaunchGuardState.HALF_OPEN } }), "probe launch");
    assert.equal(look({ launcherConnected: false }), "launcher away");
    assert.equal(look({ launcherConnected: false, launcherId: "" }), "no launcher");
    assert.equal(look({ pauseTime: now, startingCount: 1 }), "paused");
    assert.equal(look({ rollout: { state: RolloutState.PAUSED } }), "rollout paused");
    assert.equal(look({ rollout: { state: RolloutState.ROLLING } }), "rolling out");
    assert.equal(look({ ...open, deleteTime: now }), "being deleted");
  });

  it("compares what is ready with what is wanted", () => {
    assert.equal(look({ desiredCount: 2, readyCount: 1, startingCount: 1 }), "starting");
    assert.equal(look({ desiredCount: 2, readyCount: 1 }), "below what is wanted");
    assert.equal(look({ desiredCount: 2, readyCount: 3 }), "as wanted");
    assert.equal(look({}), "at zero");
  });
});

describe("the state of a launch", () => {
  it("is its end once it has ended", () => {
    const outcome = PoolLaunchOutcome.FAILED_START;
    assert.equal(launchLook({ state: PoolLaunchState.ENDED, outcome }).word, "failed to start");
    assert.equal(launchLook({ state: PoolLaunchState.STOPPING, outcome: 0 }).word, "draining");
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type BuildRuleSchema,
  ConfigureQueueRequestSchema,
  MechanismMode,
  QueueSetting,
} from "@muster/protocol";
import { Refusal } from "../../../domain/errors.ts";
import { fromQueueSettings, toQueueChange } from "./queue-settings.ts";

const change = (init: MessageInitShape<typeof ConfigureQueueRequestSchema>) =>
  toQueueChange(create(ConfigureQueueRequestSchema, init), 7);

function faultsOf(init: MessageInitShape<typeof ConfigureQueueRequestSchema>): string[] {
  try {
    change(init);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return error.violations.map(({ field, description }) => `${field}: ${description}`);
  }
  return [];
}

const fixed = (...seconds: number[]) => ({
  ...({ case: "fixed" } as const),
  value: { delays: seconds.map((each) => ({ seconds: BigInt(each), nanos: 0 })) },
});

describe("a change of a queue's settings", () => {
  it("keeps ended tasks for whole days, at most as many as the scheduler", () => {
    const days = (count: number) => ({
      settings: { retention: { seconds: BigInt(Math.round(count * 86_400)), nanos: 0 } },
    });
    assert.deepEqual(change(days(2)), { set: { keepDays: 2 }, clear: [], attributes: { retention: "2d" } });
    assert.equal(fromQueueSettings({ keepDays: 2 }).retention?.seconds, 172_800n);
    assert.deepEqual(change({ cleared: [QueueSetting.RETENTION] }).clear, ["keepDays"]);
    for (const count of [0, -1, 1.5, 8])
      assert.match(
        faultsOf(days(count)).join(),
        /^settings\.retention: .+ whole days from 1 to 7, the scheduler's/,
      );
  });

  it("binds tasks to builds: a pin, a ramp or both, which no other setting has", () => {
    const both = { settings: { buildRule: { pinnedBuildId: "12", ramp: { buildId: "13", share: 0.1 } } } };
    const builds = { pin: "12", ramp: { build: "13", share: 0.1 } };
    assert.deepEqual(change(both), {
      ...{ set: { builds }, clear: [] },
      attributes: { build_rule: "pinned to build 12, and 10 % of its tasks go to build 13" },
    });
    assert.deepEqual(fromQueueSettings({ builds }).buildRule, both.settings.buildRule);
    assert.deepEqual(change({ settings: { buildRule: { ramp: { buildId: "13", share: 0.5 } } } }).set, {
      builds: { ramp: { build: "13", share: 0.5 } },
    });
    assert.deepEqual(change({ cleared: [QueueSetting.BUILD_RULE] }).clear, ["builds"]);
    const faults = (buildRule: MessageInitShape<typeof BuildRuleSchema>) =>
      faultsOf({ settings: { buildRule } });
    assert.deepEqual(faults({}), ["settings.build_rule: names no build; set pinned_build_id, ramp or both"]);
    assert.match(
      faults({ pinnedBuildId: "no id" }).join(),
      /^settings\.build_rule\.pinned_build_id: "no id" must start/,
    );
    assert.deepEqual(faults({ pinnedBuildId: "12", ramp: { buildId: "12", share: Number.NaN } }), [
      "settings.build_rule.ramp.share: NaN is not above 0 and below 1",
      'settings.build_rule.ramp.build_id: "12" is pinned already',
    ]);
  });

  it("sets what has a value, clears what is named, and goes into the event", () => {
    assert.deepEqual(change({ settings: { maxRetryCount: 0, backoff: fixed(60, 0) } }), {
      set: { maxRetries: 0, backoff: { kind: "fixed", delaysMs: [60_000, 0] } },
      clear: [],
      attributes: { max_retries: "0", backoff: "60 s, 0 ms" },
    });
    const { MAX_RETRY_COUNT, BACKOFF, LOST_BACKOFF } = QueueSetting;
    assert.deepEqual(change({ cleared: [BACKOFF, BACKOFF], settings: { maxRetryCount: 1_000 } }), {
      set: { maxRetries: 1_000 },
      clear: ["backoff"],
      attributes: { max_retries: "1000", cleared: "backoff" },
    });
    assert.deepEqual(change({ cleared: [MAX_RETRY_COUNT, BACKOFF, LOST_BACKOFF] }).attributes, {
      cleared: "max_retries, backoff, lost_backoff",
    });
    assert.deepEqual(change({ settings: { lostBackoff: fixed(60, 300).value } }).attributes, {
      lost_backoff: "60 s, 5 min",
    });
  });

  it("sets and clears the modes of mechanisms one by one", () => {
    const { OFF, OBSERVE, ACT, UNSPECIFIED } = MechanismMode;
    const settings = { unacceptedMode: OFF, attemptLimitsMode: OBSERVE, poisonMode: ACT };
    assert.deepEqual(change({ settings, cleared: [QueueSetting.FORGOTTEN_MODE] }), {
      set: { unaccepted: "off", attempt_limits: "observe", poison: "act" },
      clear: ["forgotten"],
      attributes: {
        ...{ unaccepted_mode: "off", attempt_limits_mode: "observe", poison_mode: "act" },
        cleared: "forgotten_mode",
      },
    });
    assert.deepEqual(fromQueueSettings(change({ settings }).set), settings);
    assert.deepEqual(faultsOf({ settings: { poisonMode: UNSPECIFIED, forgottenMode: 9 as MechanismMode } }), [
      "settings.forgotten_mode: 9 is no mode; allowed are 1 (off), 2 (observe), 3 (act)",
      "settings.poison_mode: 0 is no mode; allowed are 1 (off), 2 (observe), 3 (act)",
    ]);
  });

  it("survives the way into a message and back", () => {
    for (const settings of [
      { maxRetryCount: 5, backoff: fixed(1, 2), lostBackoff: fixed(0, 3).value },
      {
        backoff: {
          ...({ case: "exponential" } as const),
          value: { initialDelay: { seconds: 1n }, factor: 3, maxDelay: { seconds: 60n }, jitter: 0.5 },
        },
      },
    ]) {
      const { set } = change({ settings });
      assert.deepEqual(change({ settings: fromQueueSettings(set) }).set, set);
    }
  });

  it("is refused with every fault at once", () => {
    assert.deepEqual(faultsOf({}), ["settings: changes nothing; give a setting, or name one in cleared"]);
    assert.deepEqual(faultsOf({ settings: {} }).length, 1);
    assert.deepEqual(
      faultsOf({
        settings: { maxRetryCount: 1_001, backoff: fixed(), lostBackoff: fixed(-1).value },
        cleared: [QueueSetting.UNSPECIFIED, 99 as QueueSetting, QueueSetting.MAX_RETRY_COUNT],
      }),
      [
        "settings.max_retry_count: 1001 is not between 0 and 1000",
        "settings.fixed.delays: has 0 entries; 1 to 100 are allowed",
        "settings.lost_backoff.delays[0]: -1 s is not between 0 and 31622400 s",
        "cleared[0]: 0 is no setting; allowed are 1, 2, 3, 4, 5, 6, 7, 8, 9",
        "cleared[1]: 99 is no setting; allowed are 1, 2, 3, 4, 5, 6, 7, 8, 9",
        "cleared: names max_retries, for which settings has a value; give one of them",
      ],
    );
  });
});

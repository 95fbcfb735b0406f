// A heartbeat in protobuf, and back.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { BlockedBy, type Heartbeat, type HeartbeatSchema, type QuietExpectation } from "@muster/protocol";
import type { HeartbeatRecord, RunningRecord } from "../../../domain/workers/worker.ts";
import { fromSlotRelease, toSlotRelease } from "../tasks/attempts/slot-release.ts";
import { toCount, toFraction } from "../values/numbers.ts";
import { optional } from "../values/optional.ts";
import { storable } from "../values/text.ts";
import { durationFromMs, toMs } from "../values/time.ts";
import { fromAdaptiveLimit, toAdaptiveLimits } from "./adaptive-limit.ts";
import { MAX_NAME, MAX_RESOURCES, MAX_SLOTS, MAX_TEXT } from "./limits.ts";

/** Nested stuck phases kept of one attempt, the outermost. */
const MAX_STUCK_PHASES = 8;

const MAX_COUNTERS = 256;

/** Measures kept of a heartbeat; a worker of this version has four. */
const MAX_PRESSURES = 16;

/** Longest silence that a handler can announce: 7 days. */
const MAX_QUIET_MS = 7 * 24 * 3_600_000;

/** Characters kept of its reason. */
const MAX_REASON = 256;

/** Frames kept of a stack, and characters of each. */
const MAX_FRAMES = 20;
const MAX_FRAME = 256;

/** A heartbeat in protobuf. */
export function fromHeartbeat(beat: HeartbeatRecord) {
  const running = beat.running.map((attempt) => ({
    attemptId: attempt.attemptId,
    phase: attempt.phase,
    phaseAge: durationFromMs(Math.round(attempt.phaseAgeMs)),
    ...optional("progress", attempt.progress),
    ...optional(
      "progressAge",
      attempt.progressAgeMs === undefined ? undefined : durationFromMs(Math.round(attempt.progressAgeMs)),
    ),
    resultPending: attempt.resultPending,
    cancelling: attempt.cancelling,
    revoked: attempt.revoked ?? false,
    ...optional("slotRelease", attempt.slotRelease && fromSlotRelease(attempt.slotRelease)),
    ...optional(
      "warnAfter",
      attempt.warnAfterMs === undefined ? undefined : durationFromMs(attempt.warnAfterMs),
    ),
    ...optional(
      "phaseTimeout",
      attempt.phaseTimeoutMs === undefined ? undefined : durationFromMs(Math.round(attempt.phaseTimeoutMs)),
    ),
    ...optional(
      "resultAge",
      attempt.resultAgeMs === undefined ? undefined : durationFromMs(attempt.resultAgeMs),
    ),
    ...optional(
      "expectation",
      attempt.expectation && {
        quietFor: durationFromMs(attempt.expectation.quietForMs),
        age: durationFromMs(Math.round(attempt.expectation.ageMs)),
        reason: attempt.expectation.reason,
      },
    ),
    stuckPhases: (attempt.stuckPhases ?? []).map((stuck) => ({
      phase: stuck.phase,
      age: durationFromMs(stuck.ageMs),
      stallAge: durationFromMs(stuck.stillMs),
      warnAfter: durationFromMs(stuck.warnAfterMs),
      warningCount: stuck.warnings,
    })),
  }));
  return {
    sequence: BigInt(beat.sequence),
    slotCount: beat.slots,
    running,
    eventLoopAge: durationFromMs(Math.round(beat.loopAgeMs)),
    ...optional(
      "blockedBy",
      beat.blockedBy && (beat.blockedBy === "loop" ? BlockedBy.EVENT_LOOP : BlockedBy.INTERPRETER),
    ),
    eventLoopDelayP99: durationFromMs(Math.round(beat.loopDelayP99Ms)),
    cpuUsage: beat.cpuUsage,
    rssBytes: BigInt(Math.round(beat.rssBytes)),
    heapUsedBytes: BigInt(Math.round(beat.heapUsedBytes)),
    resources: [...beat.resources],
    paused: beat.paused,
    pauseReason: beat.pauseReason,
    pressures: (beat.pressures ?? []).map(({ ageMs, ...pressure }) => ({
      ...pressure,
      age: durationFromMs(Math.round(ageMs)),
    })),
    adaptiveLimits: Object.fromEntries(
      Object.entries(beat.adaptive ?? {}).map(([type, limit]) => [type, fromAdaptiveLimit(limit)]),
    ),
    counters: Object.fromEntries(Object.entries(beat.counters).map(([name, value]) => [name, BigInt(value)])),
    ...optional(
      "mainStack",
      beat.mainStack && {
        frames: [...beat.mainStack.frames],
        age: durationFromMs(Math.round(beat.mainStack.ageMs)),
        blockedAge: durationFromMs(Math.round(beat.mainStack.blockedMs)),
      },
    ),
  } satisfies MessageInitShape<typeof HeartbeatSchema>;
}

/** A heartbeat from protobuf, with bounded lists and texts. */
export function toHeartbeat(beat: Heartbeat): HeartbeatRecord {
  return {
    sequence: toCount(beat.sequence),
    slots: Math.min(beat.slotCount, MAX_SLOTS),
    running: beat.running.slice(0, 2 * MAX_SLOTS).map((attempt) => ({
      attemptId: storable(attempt.attemptId, MAX_NAME),
      phase: storable(attempt.phase, MAX_NAME),
      phaseAgeMs: toMs(attempt.phaseAge) ?? 0,
      progress: attempt.progress === undefined ? undefined : toFraction(attempt.progress),
      progressAgeMs: toMs(attempt.progressAge),
      resultPending: attempt.resultPending,
      cancelling: attempt.cancelling,
      ...(attempt.revoked ? { revoked: true } : {}),
      ...(attempt.slotRelease ? { slotRelease: toSlotRelease(attempt.slotRelease) } : {}),
      warnAfterMs: toMs(attempt.warnAfter),
      ...optional("phaseTimeoutMs", toMs(attempt.phaseTimeout)),
      resultAgeMs: toMs(attempt.resultAge),
      ...toExpectation(attempt.expectation),
      stuckPhases: attempt.stuckPhases.slice(0, MAX_STUCK_PHASES).map((stuck) => ({
        phase: storable(stuck.phase, MAX_NAME),
        ageMs: toMs(stuck.age) ?? 0,
        stillMs: toMs(stuck.stallAge) ?? toMs(stuck.age) ?? 0,
        warnAfterMs: toMs(stuck.warnAfter) ?? 0,
        warnings: stuck.warningCount,
      })),
    })),
    loopAgeMs: toMs(beat.eventLoopAge) ?? 0,
    ...optional("blockedBy", toBlockedBy(beat.blockedBy)),
    loopDelayP99Ms: toMs(beat.eventLoopDelayP99) ?? 0,
    cpuUsage: finite(beat.cpuUsage),
    rssBytes: toCount(beat.rssBytes),
    heapUsedBytes: toCount(beat.heapUsedBytes),
    resources: beat.resources.slice(0, MAX_RESOURCES).map((resource) => storable(resource, MAX_TEXT)),
    paused: beat.paused,
    pauseReason: storable(beat.pauseReason, MAX_TEXT),
    ...(beat.pressures.length === 0
      ? {}
      : {
          pressures: beat.pressures.slice(0, MAX_PRESSURES).map((pressure) => ({
            measure: storable(pressure.measure, MAX_NAME),
            detail: storable(pressure.detail, MAX_TEXT),
            value: finite(pressure.value),
            high: finite(pressure.high),
            low: finite(pressure.low),
            ageMs: toMs(pressure.age) ?? 0,
          })),
        }),
    ...optional("adaptive", toAdaptiveLimits(Object.entries(beat.adaptiveLimits))),
    counters: Object.fromEntries(
      Object.entries(beat.counters)
        .slice(0, MAX_COUNTERS)
        .map(([name, value]) => [storable(name, MAX_NAME), toCount(value)]),
    ),
    ...(beat.mainStack
      ? {
          mainStack: {
            frames: beat.mainStack.frames.slice(0, MAX_FRAMES).map((frame) => storable(frame, MAX_FRAME)),
            ageMs: toMs(beat.mainStack.age) ?? 0,
            blockedMs: toMs(beat.mainStack.blockedAge) ?? 0,
          },
        }
      : {}),
    resourceStates: beat.resourceStates.slice(0, MAX_RESOURCES).map((state) => ({
      resource: storable(state.resource, MAX_TEXT),
      state: state.loading ? "loading" : "failed",
      ageMs: toMs(state.age) ?? 0,
      failures: Math.max(0, state.failureCount),
      error: storable(state.error, MAX_TEXT),
    })),
  };
}

/** Undefined where the worker cannot tell, and for a value of a newer one. */
function toBlockedBy(part: BlockedBy): HeartbeatRecord["blockedBy"] {
  if (part === BlockedBy.EVENT_LOOP) return "loop";
  return part === BlockedBy.INTERPRETER ? "interpreter" : undefined;
}

/** Nothing where the worker names no time. */
function toExpectation(given: QuietExpectation | undefined): Pick<RunningRecord, "expectation"> {
  const quietForMs = Math.min(toMs(given?.quietFor) ?? 0, MAX_QUIET_MS);
  if (!given || quietForMs <= 0) return {};
  const ageMs = Math.max(0, toMs(given.age) ?? 0);
  return { expectation: { quietForMs, ageMs, reason: storable(given.reason, MAX_REASON) } };
}

function finite(value: number): number {
  return Number.isFinite(value) ? value : 0;
}

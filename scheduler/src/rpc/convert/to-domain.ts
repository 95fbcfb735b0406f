import type { Duration } from "@bufbuild/protobuf/wkt";
import { quoted } from "@muster/common/text";
import type { Progress } from "@muster/protocol";
import {
  type Heartbeat,
  type Hello,
  PROTOCOL_VERSION,
  RejectionReason,
  type StartupPhase,
  type WorkerFatal,
} from "@muster/protocol";
import type { Registration } from "../../dispatch/sessions/registration.ts";
import type { AttemptProgress } from "../../dispatch/sessions/session.ts";
import { Refusal, type Violation } from "../../domain/errors.ts";
import { type AttemptKey, parseAttemptId } from "../../domain/ids.ts";
import { invalidHello, invalidMessage } from "../../domain/refusals.ts";
import { MAX_FAILURE_MESSAGE, MAX_FAILURE_TRACEBACK } from "../../domain/tasks/failure.ts";
import type { FatalRecord, HeartbeatRecord, StartupPhaseRecord } from "../../domain/workers/worker.ts";
import { mostBytes } from "./message-size.ts";
import { storable, storableEntries } from "./text.ts";

/** What a worker id looks like. */
export const WORKER_ID = /^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}$/;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const MAX_SLOTS = 10_000;
const MAX_TYPES = 1_000;
const MAX_LABELS = 64;
/** Phases of a start, or of an attempt. */
export const MAX_PHASES = 200;
const MAX_NAME = 128;
const MAX_TEXT = 1_024;
const MAX_ATTRIBUTES = 64;
/** Nested phases of one attempt that are stuck at once; the outermost say it all. */
const MAX_STUCK_PHASES = 8;
const MAX_COUNTERS = 256;
const MAX_RESOURCES = 1_000;
/** What a task may require: longer names are no use. */
const MAX_RESOURCE_NAME = 256;
/** All names of loaded, or of loadable, resources. */
const MAX_RESOURCE_BYTES = 256 * 1_024;
const MAX_LABEL_TEXT = 256;
const MAX_QUEUES = 1_000;
/** What startup phases of a hello say in all: a dozen phases of a few lines take some KB. */
const MAX_PHASE_BYTES = 256 * 1_024;
/** A century: what a worker calls longer is no length of time, and would not fit into a timestamp. */
export const MAX_MS = 100 * 366 * 24 * 3_600_000;

/**
 * A registration from a worker's Hello.
 *
 * @throws Refusal `PROTOCOL_VERSION_MISMATCH` or `INVALID_HELLO`, with every fault at once.
 */
export function toRegistration(hello: Hello): Registration {
  if (hello.protocolVersion !== PROTOCOL_VERSION) {
    throw new Refusal("precondition", "PROTOCOL_VERSION_MISMATCH", versionMismatch(hello.protocolVersion));
  }
  const violations = helloViolations(hello);
  const first = violations[0];
  if (first) {
    throw invalidHello(`hello.${first.field} ${first.description}`, violations);
  }
  const { host } = hello;
  return {
    uuid: hello.sessionId.toLowerCase(),
    workerId: hello.workerId,
    hello: {
      sdk: storable([hello.sdkName, hello.sdkVersion, hello.language].filter(Boolean).join(" "), 200),
      pool: hello.pool,
      labels: hello.labels,
      types: hello.taskTypes.map(({ taskType, concurrency }) => ({ type: taskType, concurrency })),
      queues: hello.queues.length > 0 ? hello.queues : ["default"],
      slots: hello.slotCount,
      prefetch: hello.prefetchCount,
      resources: hello.resources,
      launchId: storable(hello.launchId, MAX_NAME),
      features: hello.features.slice(0, MAX_ATTRIBUTES).map((feature) => storable(feature, MAX_NAME)),
      loadable: hello.loadableResources.map((name) => storable(name, MAX_RESOURCE_NAME)),
      host: {
        hostname: storable(host?.hostname ?? "", MAX_TEXT),
        pid: host?.pid ?? 0,
        uid: host?.uid,
        gid: host?.gid,
        cwd: storable(host?.cwd ?? "", 4_096),
        cpus: host?.cpuCount ?? 0,
        memoryBytes: toCount(host?.memoryBytes ?? 0n),
        runtime: storable(host?.runtime ?? "", MAX_TEXT),
      },
    },
    phases: hello.startupPhases.map(toStartupPhase),
    ready: hello.ready || hello.startupPhases.some(({ phase }) => phase === "ready"),
    draining: hello.draining,
    inFlight: hello.inFlight.flatMap(({ attemptId }) => parseAttemptId(attemptId) ?? []),
    lastError: storable(hello.lastError, MAX_TEXT),
  };
}

/** @throws Refusal `INVALID_MESSAGE` when the text is no attempt id. */
export function toAttemptKey(attemptId: string): AttemptKey {
  const key = parseAttemptId(attemptId);
  if (key) return key;
  throw invalidMessage(
    `${quoted(attemptId)} is no attempt id; send the attempt_id of an Assignment unchanged`,
  );
}

export function toStartupPhase(phase: StartupPhase): StartupPhaseRecord {
  return {
    phase: storable(phase.phase, MAX_NAME),
    outcome: storable(phase.outcome, MAX_NAME),
    elapsedMs: toMs(phase.elapsed) ?? 0,
    detail: storable(phase.detail, MAX_TEXT),
    attributes: storableEntries(phase.attributes, MAX_ATTRIBUTES, MAX_TEXT),
  };
}

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
      warnAfterMs: toMs(attempt.warnAfter),
      resultAgeMs: toMs(attempt.resultAge),
      stuckPhases: attempt.stuckPhases.slice(0, MAX_STUCK_PHASES).map((stuck) => ({
        phase: storable(stuck.phase, MAX_NAME),
        ageMs: toMs(stuck.age) ?? 0,
        stillMs: toMs(stuck.stallAge) ?? toMs(stuck.age) ?? 0,
        warnAfterMs: toMs(stuck.warnAfter) ?? 0,
        warnings: stuck.warningCount,
      })),
    })),
    loopAgeMs: toMs(beat.eventLoopAge) ?? 0,
    loopDelayP99Ms: toMs(beat.eventLoopDelayP99) ?? 0,
    cpuUsage: Number.isFinite(beat.cpuUsage) ? beat.cpuUsage : 0,
    rssBytes: toCount(beat.rssBytes),
    heapUsedBytes: toCount(beat.heapUsedBytes),
    resources: beat.resources.slice(0, MAX_RESOURCES).map((resource) => storable(resource, MAX_TEXT)),
    paused: beat.paused,
    pauseReason: storable(beat.pauseReason, MAX_TEXT),
    counters: Object.fromEntries(
      Object.entries(beat.counters)
        .slice(0, MAX_COUNTERS)
        .map(([name, value]) => [storable(name, MAX_NAME), toCount(value)]),
    ),
    resourceStates: beat.resourceStates.slice(0, MAX_RESOURCES).map((state) => ({
      resource: storable(state.resource, MAX_TEXT),
      state: state.loading ? "loading" : "failed",
      ageMs: toMs(state.age) ?? 0,
      failures: Math.max(0, state.failureCount),
      error: storable(state.error, MAX_TEXT),
    })),
  };
}

export function toProgress(progress: Progress | undefined): AttemptProgress {
  return {
    ...(progress?.fraction === undefined ? {} : { fraction: toFraction(progress.fraction) }),
    ...(progress?.doneCount === undefined ? {} : { done: toCount(progress.doneCount) }),
    ...(progress?.totalCount === undefined ? {} : { total: toCount(progress.totalCount) }),
    message: storable(progress?.message ?? "", MAX_TEXT),
  };
}

export function toFatal(fatal: WorkerFatal): FatalRecord {
  return {
    phase: storable(fatal.phase, MAX_NAME),
    exceptionClass: storable(fatal.exceptionClass, 256),
    exceptionMessage: storable(fatal.exceptionMessage, MAX_FAILURE_MESSAGE),
    traceback: storable(fatal.traceback, MAX_FAILURE_TRACEBACK),
    exitCode: fatal.exitCode,
    ...(fatal.attemptId ? { attemptId: storable(fatal.attemptId, MAX_NAME) } : {}),
  };
}

/** Word for a rejection's reason. */
export function toRejection(reason: RejectionReason): string {
  switch (reason) {
    case RejectionReason.UNKNOWN_TYPE:
      return "unknown_type";
    case RejectionReason.NO_SLOT:
      return "no_slot";
    case RejectionReason.DRAINING:
      return "draining";
    case RejectionReason.PAUSED:
      return "paused";
    case RejectionReason.RESOURCE_MISSING:
      return "resource_missing";
    default:
      return "unspecified";
  }
}

/** Whole milliseconds of a length of time, from zero to a century; undefined when there is none. */
export function toMs(duration: Duration | undefined): number | undefined {
  if (!duration) return undefined;
  return boundMs(Number(duration.seconds) * 1_000 + duration.nanos / 1e6);
}

/** What is no length of time becomes the nearest that is; whole milliseconds. */
export function boundMs(ms: number): number {
  return Math.round(Math.min(MAX_MS, Math.max(0, ms)));
}

/** A 64-bit number as one that is exact here; beyond that the nearest that is. */
export function toCount(value: bigint | number): number {
  return Math.min(Number.MAX_SAFE_INTEGER, Math.max(Number.MIN_SAFE_INTEGER, Number(value)));
}

function toFraction(value: number): number {
  return Math.min(1, Math.max(0, value || 0));
}

/** Names both versions, which side is older, and what to upgrade. */
function versionMismatch(theirs: number): string {
  if (theirs < 1)
    return `the hello names no protocol version (${theirs}); this scheduler speaks ${PROTOCOL_VERSION}`;
  const [older, upgrade] =
    theirs < PROTOCOL_VERSION
      ? ["the worker is older", `upgrade its SDK to one that speaks version ${PROTOCOL_VERSION}`]
      : ["the scheduler is older", `upgrade the scheduler to one that speaks version ${theirs}`];
  return `the worker speaks protocol version ${theirs}, this scheduler version ${PROTOCOL_VERSION}: ${older}; ${upgrade}`;
}

function helloViolations(hello: Hello): Violation[] {
  const violations: Violation[] = [];
  const check = (ok: boolean, field: string, description: string) => {
    if (!ok) violations.push({ field, description });
  };
  const shown = (text: string) => quoted(text, 140);
  check(
    WORKER_ID.test(hello.workerId),
    "worker_id",
    `${shown(hello.workerId)} must start with a letter or digit and hold at most 128 of A-Z a-z 0-9 . _ : @ / -`,
  );
  check(UUID.test(hello.sessionId), "session_id", `${shown(hello.sessionId)} is not a uuid`);
  check(
    hello.slotCount >= 1 && hello.slotCount <= MAX_SLOTS,
    "slot_count",
    `${hello.slotCount} is not between 1 and ${MAX_SLOTS}`,
  );
  check(
    hello.prefetchCount >= 0 && hello.prefetchCount <= MAX_SLOTS,
    "prefetch_count",
    `${hello.prefetchCount} is not between 0 and ${MAX_SLOTS}`,
  );
  check(
    hello.taskTypes.length >= 1 && hello.taskTypes.length <= MAX_TYPES,
    "task_types",
    `has ${hello.taskTypes.length} entries; 1 to ${MAX_TYPES} are allowed`,
  );
  for (const { taskType } of hello.taskTypes)
    check(NAME.test(taskType), "task_types", `${shown(taskType)} is not a task type`);
  for (const queue of hello.queues) check(NAME.test(queue), "queues", `${shown(queue)} is not a queue name`);
  check(
    Object.keys(hello.labels).length <= MAX_LABELS,
    "labels",
    `has ${Object.keys(hello.labels).length} entries; at most ${MAX_LABELS} are allowed`,
  );
  check(
    hello.startupPhases.length <= MAX_PHASES,
    "startup_phases",
    `has ${hello.startupPhases.length} entries; at most ${MAX_PHASES} are allowed`,
  );
  check(
    hello.queues.length <= MAX_QUEUES,
    "queues",
    `has ${hello.queues.length} entries; at most ${MAX_QUEUES} are allowed`,
  );
  const phaseBytes = mostBytes(hello.startupPhases);
  check(
    phaseBytes <= MAX_PHASE_BYTES,
    "startup_phases",
    `hold about ${phaseBytes} bytes of details and attributes; at most ${MAX_PHASE_BYTES} are allowed`,
  );
  const longest = (texts: readonly string[]) => texts.reduce((most, { length }) => Math.max(most, length), 0);
  const labelTexts = Object.entries(hello.labels).flat();
  check(
    longest(labelTexts) <= MAX_LABEL_TEXT,
    "labels",
    `hold a text of ${longest(labelTexts)} characters; at most ${MAX_LABEL_TEXT} are allowed`,
  );
  check(
    hello.pool.length <= MAX_LABEL_TEXT,
    "pool",
    `has ${hello.pool.length} characters; at most ${MAX_LABEL_TEXT} are allowed`,
  );
  for (const [field, names] of [
    ["resources", hello.resources],
    ["loadable_resources", hello.loadableResources],
  ] as const) {
    const bytes = names.reduce((sum, name) => sum + Buffer.byteLength(name), 0);
    check(
      names.length <= MAX_RESOURCES && bytes <= MAX_RESOURCE_BYTES,
      field,
      `has ${names.length} names of ${bytes} bytes in all; at most ${MAX_RESOURCES} of ${MAX_RESOURCE_BYTES} bytes are allowed`,
    );
    check(
      longest(names) <= MAX_RESOURCE_NAME,
      field,
      `holds a name of ${longest(names)} characters; at most ${MAX_RESOURCE_NAME} are allowed`,
    );
  }
  for (const [field, texts] of [
    ["pool", [hello.pool]],
    ["labels", labelTexts],
    ["resources", hello.resources],
  ] as const) {
    check(
      !texts.some((text) => text.includes("\0")),
      field,
      "must not hold a NUL character, which Postgres cannot store",
    );
  }
  return violations;
}

/** The options of a task. */
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type {
  CircuitRule,
  FixedBackoff,
  RateLimit,
  RetryPolicy,
  TaskDependency,
  TaskSpec,
  UniqueRule,
} from "@muster/protocol";
import {
  CircuitRuleSchema,
  ConcurrencyKeySchema,
  ConcurrencyLimitPolicy,
  ConcurrencyOrder,
  DependencyCondition,
  ExponentialBackoffSchema,
  FairnessSchema,
  FixedBackoffSchema,
  parentTag,
  RateLimitSchema,
  RetryPolicySchema,
  TaskDependencySchema,
  TaskRequirementsSchema,
  TaskSpecSchema,
  TaskTimeoutsSchema,
  TaskWatchdogsSchema,
  UniqueConflictPolicy,
  UniqueRuleSchema,
  UniqueWhile,
} from "@muster/protocol";
import { isBytes, jsonTextOf } from "../../attempt/json-form.ts";
import { durationFromMs } from "../../duration.ts";
import { encodeOutOfMemory } from "./encode-out-of-memory.ts";
import { checkSpec } from "./spec-checks.ts";
import type {
  CircuitOptions,
  ConcurrencyKey,
  RateLimit as RateLimitOption,
  RetryOptions,
  SubmitOptions,
  SubmitSpec,
  TaskDependency as TaskDependencyOption,
  UniqueOptions,
} from "./submit-spec.ts";

/**
 * The protobuf form of a task.
 *
 * @param position Its position in a call of several tasks; without it, it cannot wait for a task of the same call.
 * @throws OptionsError when numbers are not valid; TypeError when the payload has no JSON form, or when options exclude
 * each other.
 */
export function encodeTaskSpec(spec: SubmitSpec, position?: number): TaskSpec {
  checkSpec(spec);
  if (spec.delayS !== undefined && spec.runTime !== undefined) {
    throw new TypeError(`Task ${spec.type}: delayS and runTime exclude each other; give one of them.`);
  }
  if (spec.uniqueKey !== undefined && spec.unique !== undefined) {
    throw new TypeError(`Task ${spec.type}: uniqueKey and unique exclude each other; give one of them.`);
  }
  const bytes = isBytes(spec.payload) ? spec.payload : undefined;
  return create(TaskSpecSchema, {
    taskType: spec.type,
    queue: spec.queue ?? "",
    payload: bytes ?? new TextEncoder().encode(jsonTextOf(spec.type, spec.payload)),
    contentType: spec.contentType ?? (bytes === undefined ? "" : "application/octet-stream"),
    headers: { ...spec.headers },
    priority: spec.priority ?? 0,
    uniqueKey: spec.unique?.key ?? spec.uniqueKey ?? "",
    ...(spec.unique === undefined ? {} : { uniqueRule: encodeUnique(spec.type, spec.unique) }),
    ...(spec.concurrency === undefined
      ? {}
      : {
          concurrency: spec.concurrency.map(({ key, limit, onLimit = "queue", order }) =>
            create(ConcurrencyKeySchema, {
              ...{ key, limit, onLimit: ON_LIMIT[onLimit] },
              ...(order === undefined ? {} : { order: ORDER[order] }),
            }),
          ),
        }),
    ...(spec.rateLimits === undefined ? {} : { rateLimits: spec.rateLimits.map(encodeRateLimit) }),
    batchId: spec.batchId ?? "",
    ...(spec.tags === undefined && spec.parent === undefined
      ? {}
      : { tags: [...(spec.tags ?? []), ...(spec.parent === undefined ? [] : [parentTag(spec.parent)])] }),
    ...(spec.after === undefined ? {} : { after: encodeAfter(spec.type, spec.after, position) }),
    ...(spec.circuit === undefined ? {} : { circuit: encodeCircuit(spec.type, spec.circuit) }),
    ...(spec.fairness === undefined
      ? {}
      : { fairness: create(FairnessSchema, { key: spec.fairness.key, weight: spec.fairness.weight ?? 0 }) }),
    schedule:
      spec.delayS !== undefined
        ? { case: "delay", value: durationFromMs(spec.delayS * 1000) }
        : spec.runTime !== undefined
          ? { case: "runTime", value: timestampFromDate(spec.runTime) }
          : { case: undefined },
    ...(spec.requires === undefined && spec.cost === undefined
      ? {}
      : {
          requirements: create(TaskRequirementsSchema, {
            labels: { ...spec.requires?.labels },
            resources: [...(spec.requires?.resources ?? [])],
            cost: encodeCost(spec.cost),
          }),
        }),
    ...(spec.retry === undefined ? {} : { retryPolicy: encodeRetry(spec.type, spec.retry) }),
    maxIterationCount: spec.maxIterations ?? 0,
    ...(spec.timeouts === undefined ? {} : { timeouts: encodeTimeouts(spec.timeouts) }),
    ...(spec.watchdogs === undefined ? {} : { watchdogs: encodeWatchdogs(spec.watchdogs) }),
  });
}

const WHEN: Readonly<Record<NonNullable<TaskDependencyOption["when"]>, DependencyCondition>> = {
  succeeded: DependencyCondition.SUCCEEDED,
  ended: DependencyCondition.ENDED,
};

function encodeAfter(
  type: string,
  after: readonly TaskDependencyOption[],
  position: number | undefined,
): TaskDependency[] {
  return after.map(({ task, entry, when = "succeeded" }, index) => {
    const option = `after[${index}]`;
    const condition = named(type, `${option}.when`, when, WHEN);
    if ((task === undefined) === (entry === undefined))
      throw new TypeError(`Task ${type}: ${option} must have either task or entry.`);
    if (task !== undefined)
      return create(TaskDependencySchema, {
        condition,
        predecessor: { case: "taskId", value: typeof task === "string" ? task : task.id },
      });
    const value = Number(entry);
    if (!Number.isInteger(value) || value < 0 || value >= (position ?? 0))
      throw new TypeError(
        `Task ${type}: ${option}.entry is ${entry}; it is the position of an earlier task of the same submitMany.`,
      );
    return create(TaskDependencySchema, { condition, predecessor: { case: "entry", value } });
  });
}

function encodeCost(cost: NonNullable<SubmitOptions["cost"]> = {}): Record<string, bigint> {
  return Object.fromEntries(Object.entries(cost).map(([name, amount]) => [name, BigInt(amount)]));
}

function encodeRateLimit({ key, limit, periodS, burst }: RateLimitOption): RateLimit {
  return create(RateLimitSchema, { key, limit, period: durationFromMs(periodS * 1000), burst: burst ?? 0 });
}

function encodeRetry(type: string, retry: RetryOptions): RetryPolicy {
  if (retry.delaysS !== undefined && retry.exponential !== undefined) {
    throw new TypeError(`Task ${type}: retry.delaysS and retry.exponential exclude each other.`);
  }
  const policy = create(RetryPolicySchema);
  if (retry.maxRetries !== undefined) policy.maxRetryCount = retry.maxRetries;
  if (retry.maxOutOfMemory !== undefined) policy.maxOutOfMemoryCount = retry.maxOutOfMemory;
  if (retry.onOutOfMemory !== undefined) policy.onOutOfMemory = encodeOutOfMemory(retry.onOutOfMemory);
  if (retry.retryTimeouts !== undefined) policy.retryTimeouts = retry.retryTimeouts;
  if (retry.delaysS !== undefined) {
    policy.backoff = { case: "fixed", value: encodeDelays(retry.delaysS) };
  }
  if (retry.lostDelaysS !== undefined) policy.lostBackoff = encodeDelays(retry.lostDelaysS);
  if (retry.exponential !== undefined) {
    const { initialS, factor, maxS, jitter } = retry.exponential;
    const value = create(ExponentialBackoffSchema, {
      initialDelay: durationFromMs(initialS * 1000),
      factor: factor ?? 0,
      jitter: jitter ?? 0,
      ...(maxS === undefined ? {} : { maxDelay: durationFromMs(maxS * 1000) }),
    });
    policy.backoff = { case: "exponential", value };
  }
  return policy;
}

function encodeDelays(seconds: readonly number[]): FixedBackoff {
  return create(FixedBackoffSchema, { delays: seconds.map((each) => durationFromMs(each * 1000)) });
}

/** A zero stands for the default in protobuf: it is never one of the values that may be given. */
function encodeCircuit(type: string, circuit: CircuitOptions): CircuitRule {
  const { key, failureRate, windowS, minSamples, openForS, maxOpenForS, probes } = circuit;
  if (key === "")
    throw new TypeError(
      `Task ${type}: circuit.key is empty; give a key, or leave it out for the task's type.`,
    );
  for (const [name, value] of Object.entries({ failureRate, minSamples, probes })) {
    if (value === 0) throw new TypeError(`Task ${type}: circuit.${name} is 0; give more, or leave it out.`);
  }
  const seconds = (value: number) => durationFromMs(value * 1000);
  return create(CircuitRuleSchema, {
    key: key ?? "",
    failureRate: failureRate ?? 0,
    minSamples: minSamples ?? 0,
    probes: probes ?? 0,
    ...(windowS === undefined ? {} : { window: seconds(windowS) }),
    ...(openForS === undefined ? {} : { openFor: seconds(openForS) }),
    ...(maxOpenForS === undefined ? {} : { maxOpenFor: seconds(maxOpenForS) }),
  });
}

const HELD_WHILE: Readonly<Record<NonNullable<UniqueOptions["while"]>, UniqueWhile>> = {
  queued: UniqueWhile.QUEUED,
  active: UniqueWhile.ACTIVE,
  open: UniqueWhile.OPEN,
  openOrSucceeded: UniqueWhile.OPEN_OR_SUCCEEDED,
  recorded: UniqueWhile.RECORDED,
};

const ON_LIMIT: Readonly<Record<NonNullable<ConcurrencyKey["onLimit"]>, ConcurrencyLimitPolicy>> = {
  queue: ConcurrencyLimitPolicy.QUEUE,
  cancelNewest: ConcurrencyLimitPolicy.CANCEL_NEWEST,
  cancelRunning: ConcurrencyLimitPolicy.CANCEL_RUNNING,
};

const ORDER: Readonly<Record<NonNullable<ConcurrencyKey["order"]>, ConcurrencyOrder>> = {
  strict: ConcurrencyOrder.STRICT_FIFO,
};

const ON_CONFLICT: Readonly<Record<NonNullable<UniqueOptions["onConflict"]>, UniqueConflictPolicy>> = {
  return: UniqueConflictPolicy.RETURN_HOLDER,
  replace: UniqueConflictPolicy.REPLACE,
  refuse: UniqueConflictPolicy.REFUSE,
};

function encodeUnique(type: string, unique: UniqueOptions): UniqueRule {
  const { key, while: held, windowS, onConflict } = unique;
  if (key === "") throw new TypeError(`Task ${type}: unique.key is empty; give a key, or leave out unique.`);
  return create(UniqueRuleSchema, {
    ...(held === undefined ? {} : { heldWhile: named(type, "unique.while", held, HELD_WHILE) }),
    ...(windowS === undefined ? {} : { window: durationFromMs(windowS * 1000) }),
    ...(onConflict === undefined
      ? {}
      : { onConflict: named(type, "unique.onConflict", onConflict, ON_CONFLICT) }),
  });
}

/** The number of a name; programs without types may give another one. */
function named<V>(type: string, option: string, name: string, values: Readonly<Record<string, V>>): V {
  const value = Object.hasOwn(values, name) ? values[name] : undefined;
  if (value === undefined) {
    const allowed = Object.keys(values).join(", ");
    throw new TypeError(
      `Task ${type}: ${option} is ${JSON.stringify(name).slice(0, 64)}; allowed are ${allowed}.`,
    );
  }
  return value;
}

function encodeTimeouts({ queueWaitS, runS, phasesS }: NonNullable<SubmitOptions["timeouts"]>) {
  return create(TaskTimeoutsSchema, {
    ...(queueWaitS === undefined ? {} : { queueWait: durationFromMs(queueWaitS * 1000) }),
    ...(runS === undefined ? {} : { run: durationFromMs(runS * 1000) }),
    phases: phaseDurations(phasesS),
  });
}

function encodeWatchdogs({ runS, phasesS }: NonNullable<SubmitOptions["watchdogs"]>) {
  return create(TaskWatchdogsSchema, {
    ...(runS === undefined ? {} : { run: durationFromMs(runS * 1000) }),
    phases: phaseDurations(phasesS),
  });
}

function phaseDurations(phasesS: Readonly<Record<string, number>> = {}) {
  return Object.fromEntries(
    Object.entries(phasesS).map(([phase, seconds]) => [phase, durationFromMs(seconds * 1000)]),
  );
}

// A worker's registration from its Hello, checked.

import { BUILD_ID, BUILD_ID_RULE, NAME, WORKER_ID, WORKER_ID_RULE } from "@muster/common/text/name-forms";
import { quoted } from "@muster/common/text/text";
import { type Hello, PROTOCOL_VERSION } from "@muster/protocol";
import type { Registration } from "../../../dispatch/sessions/registration.ts";
import { Refusal, type Violation } from "../../../domain/errors.ts";
import { parseAttemptId } from "../../../domain/ids.ts";
import { invalidHello } from "../../../domain/refusals.ts";
import { toSlotRelease } from "../tasks/attempts/slot-release.ts";
import { toCapacities } from "../values/amounts.ts";
import { mostBytes } from "../values/message-size.ts";
import { toCount } from "../values/numbers.ts";
import { optional } from "../values/optional.ts";
import { storable } from "../values/text.ts";
import { toAdaptiveLimits } from "./adaptive-limit.ts";
import { MAX_ATTRIBUTES, MAX_NAME, MAX_PHASES, MAX_RESOURCES, MAX_SLOTS, MAX_TEXT } from "./limits.ts";
import { toStartupPhase } from "./startup.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const MAX_TYPES = 1_000;

const MAX_LABELS = 64;

/** What a task may require: longer names are no use. */
const MAX_RESOURCE_NAME = 256;

/** All names of loaded, or of loadable, resources. */
const MAX_RESOURCE_BYTES = 256 * 1_024;

const MAX_LABEL_TEXT = 256;

const MAX_QUEUES = 1_000;

const MAX_ASSIGNMENT_BYTES = 1_000_000_000_000n;

const MAX_SETTINGS = 100;

const MAX_SETTING_VALUE = 256;

/** Size of all startup phases of a hello: a dozen phases of a few lines take some KB. */
const MAX_PHASE_BYTES = 256 * 1_024;

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
      ...(hello.buildId === "" ? {} : { buildId: hello.buildId }),
      labels: hello.labels,
      types: hello.taskTypes.map(({ taskType, concurrency }) => ({ type: taskType, concurrency })),
      ...optional(
        "adaptive",
        toAdaptiveLimits(
          hello.taskTypes.flatMap(({ taskType, adaptive }) =>
            adaptive ? [[taskType, adaptive] as const] : [],
          ),
        ),
      ),
      queues: hello.queues.length > 0 ? hello.queues : ["default"],
      slots: hello.slotCount,
      prefetch: hello.prefetchCount,
      assignmentBytes: toCount(hello.assignmentBytes),
      capacities: toCapacities(hello.capacities, "capacities", ignore),
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
    settings: hello.settings.slice(0, MAX_SETTINGS).map(({ name, value, source, variable }) => ({
      name: storable(name, MAX_NAME),
      value: storable(value, MAX_SETTING_VALUE),
      source: storable(source, MAX_NAME),
      variable: storable(variable, MAX_NAME),
    })),
    phases: hello.startupPhases.map(toStartupPhase),
    ready: hello.ready || hello.startupPhases.some(({ phase }) => phase === "ready"),
    draining: hello.draining,
    inFlight: hello.inFlight.flatMap(({ attemptId, slotRelease }) => {
      const key = parseAttemptId(attemptId);
      if (key === undefined) return [];
      return slotRelease ? { ...key, slotRelease: toSlotRelease(slotRelease) } : key;
    }),
    lastError: storable(hello.lastError, MAX_TEXT),
  };
}

/** The faults are known already. */
function ignore(): void {}

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
  check(WORKER_ID.test(hello.workerId), "worker_id", `${shown(hello.workerId)} ${WORKER_ID_RULE}`);
  check(UUID.test(hello.sessionId), "session_id", `${shown(hello.sessionId)} is not a uuid`);
  check(
    hello.buildId === "" || BUILD_ID.test(hello.buildId),
    "build_id",
    `${shown(hello.buildId)} ${BUILD_ID_RULE}`,
  );
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
    (hello.taskTypes.length >= 1 || hello.draining) && hello.taskTypes.length <= MAX_TYPES,
    "task_types",
    `has ${hello.taskTypes.length} entries; 1 to ${MAX_TYPES} are allowed, none only while draining`,
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
  check(
    hello.assignmentBytes >= 0n && hello.assignmentBytes <= MAX_ASSIGNMENT_BYTES,
    "assignment_bytes",
    `${hello.assignmentBytes} is not between 0 and ${MAX_ASSIGNMENT_BYTES}`,
  );
  toCapacities(hello.capacities, "capacities", (field, description) =>
    violations.push({ field, description }),
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

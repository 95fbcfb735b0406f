// A launch in protobuf, and a supervisor's reports of launches, checked.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { NAME, NAME_RULE, WORKER_ID, WORKER_ID_RULE } from "@muster/common/text/name-forms";
import { quoted } from "@muster/common/text/text";
import type {
  LaunchExitSchema,
  LaunchSchema,
  LaunchStopSchema,
  MachineNotice as MachineNoticeMessage,
  MachineNoticeSchema,
  ReportExitRequest,
  ReportLaunchRequest,
} from "@muster/protocol";
import type { ReportedExit } from "../../../dispatch/launches/launches.ts";
import type { Violation } from "../../../domain/errors.ts";
import { invalidRequest } from "../../../domain/refusals.ts";
import {
  type LaunchEnd,
  type LaunchFacts,
  type LaunchRecord,
  type LaunchStop,
  type MachineNotice,
  registerTimeLeftMs,
} from "../../../domain/workers/launch.ts";
import { hasRegistered, type WorkerRecord, workerState } from "../../../domain/workers/worker.ts";
import type { LaunchReport } from "../../../store/store.ts";
import { storable, storableEnd } from "../values/text.ts";
import { durationFault, durationFromMs, MAX_MS, timestampFromDate, toMs } from "../values/time.ts";
import { MAX_PHASES, MAX_TEXT } from "./limits.ts";
import { fromStartupPhase, toFatal, toStartupPhase } from "./startup.ts";
import { fromWorkerState } from "./worker-state.ts";

/** A launch in protobuf. @param now The database's clock. @param silentAfterMs See Launches.silentAfterMs. */
export function fromLaunch(
  launch: LaunchRecord,
  worker: WorkerRecord,
  now: Date,
  silentAfterMs: number,
): MessageInitShape<typeof LaunchSchema> {
  const { end } = launch;
  const waits = !end && !hasRegistered(worker);
  return {
    id: launch.id,
    workerId: launch.workerId,
    pool: launch.pool,
    command: launch.command,
    hostname: launch.hostname,
    pid: launch.pid,
    supervisor: launch.supervisor,
    startNumber: launch.startNumber,
    launchTime: timestampFromDate(launch.launchTime),
    reportTime: timestampFromDate(launch.reportTime),
    supervisorSilent: !end && now.getTime() - launch.reportTime.getTime() > silentAfterMs,
    startupPhases: (hasRegistered(worker) ? worker.phases : launch.phases).map(fromStartupPhase),
    registerTimeout: durationFromMs(launch.registerTimeoutMs),
    ...(waits ? { registerTimeLeft: durationFromMs(Math.max(0, registerTimeLeftMs(launch, now))) } : {}),
    sessionId: worker.sessionUuid,
    state: fromWorkerState(workerState(worker, now)),
    ...(end ? { exit: fromEnd(end) } : {}),
    lastError: launch.lastError,
    ...(launch.stop ? { stop: fromStop(launch.stop) } : {}),
    ...(launch.notice ? { notice: fromNotice(launch.notice) } : {}),
  };
}

function fromNotice(notice: MachineNotice): MessageInitShape<typeof MachineNoticeSchema> {
  const { source, event, detail, receivedAfterMs, endAfterMs } = notice;
  return {
    ...{ source, event, detail },
    receiveAfter: durationFromMs(receivedAfterMs),
    ...(endAfterMs === undefined ? {} : { endAfter: durationFromMs(endAfterMs) }),
  };
}

/** An operator's request in protobuf. */
export function fromStop({
  number,
  reason,
  graceMs,
  restart,
  time,
}: LaunchStop): MessageInitShape<typeof LaunchStopSchema> {
  return { number, reason, grace: durationFromMs(graceMs), restart, requestTime: timestampFromDate(time) };
}

function fromEnd({ reason, time, exit, restartTime, logTail, requeued }: LaunchEnd) {
  return {
    reason,
    endTime: timestampFromDate(time),
    logTail: logTail ?? "",
    requeuedCount: requeued,
    ...(restartTime ? { restartTime: timestampFromDate(restartTime) } : {}),
    ...(exit
      ? {
          ...(exit.exitCode === undefined ? {} : { exitCode: exit.exitCode }),
          signal: exit.signal,
          outOfMemory: exit.outOfMemory,
          outOfMemoryEvidence: exit.outOfMemoryEvidence,
          startError: exit.startError,
          runDuration: durationFromMs(exit.ranForMs),
          stopRequested: exit.stopRequested,
          killReason: exit.killReason ?? "",
          ...(exit.fatal ? { fatal: exit.fatal } : {}),
        }
      : {}),
  } satisfies MessageInitShape<typeof LaunchExitSchema>;
}

const SIGNAL = /^(?:SIG[A-Z0-9+]{1,12})?$/;

const MAX_COMMAND = 4_096;

const MAX_POOL = 256;

/** Longest word of a cloud for what happens to its machine. */
const MAX_NOTICE_EVENT = 128;

/** Whose notices are known; another is kept out of words that people read. */
const NOTICE_SOURCE = /^[a-z][a-z0-9_-]{0,31}$/;

/** Longest end of a process's output that is kept, in characters; the protocol counts bytes. */
const MAX_LOG_TAIL = 65_536;

/** `WORKER_REGISTER_TIMEOUT_S` of a worker that sets none. */
const DEFAULT_REGISTER_TIMEOUT_MS = 90_000;

/** A launch from its supervisor's report. @throws Refusal `INVALID_REQUEST` with every fault at once. */
export function toLaunchReport(request: ReportLaunchRequest): LaunchReport {
  const { age, registerTimeout, maxWait } = request;
  check(request, [
    ...lengths({ age, register_timeout: registerTimeout, max_wait: maxWait }),
    ...noticeChecks(request.notice),
  ]);
  return { ...toLaunch(request), ageMs: toMs(age) ?? 0 };
}

/** The end of a launch from its supervisor's report. @throws Refusal `INVALID_REQUEST` with every fault at once. */
export function toLaunchExit(request: ReportExitRequest): ReportedExit {
  const { runDuration, restartDelay, registerTimeout, exitAge } = request;
  check(request, [
    ...lengths({
      run_duration: runDuration,
      restart_delay: restartDelay,
      register_timeout: registerTimeout,
      exit_age: exitAge,
    }),
    ...noticeChecks(request.notice),
    [
      SIGNAL.test(request.signal),
      "signal",
      `${quoted(request.signal)} is no signal's name: for example SIGKILL`,
    ],
  ]);
  const exitCode = request.exitCode;
  return {
    ...toLaunch(request),
    exit: {
      ...(exitCode === undefined ? {} : { exitCode }),
      signal: request.signal,
      outOfMemory: request.outOfMemory,
      outOfMemoryEvidence: storable(request.outOfMemoryEvidence, MAX_TEXT),
      startError: storable(request.startError, MAX_TEXT),
      ...(request.fatal ? { fatal: toFatal(request.fatal) } : {}),
      stopRequested:
        request.stopRequested || request.killReason !== "" || request.notice?.endAfter !== undefined,
      ...(request.killReason === "" ? {} : { killReason: storable(request.killReason, MAX_TEXT) }),
      ...(request.notice?.endAfter ? { machineEnded: true } : {}),
      ranForMs: toMs(request.runDuration) ?? 0,
    },
    logTail: storableEnd(request.logTail, MAX_LOG_TAIL),
    restartInMs: toMs(request.restartDelay),
    endedForMs: toMs(request.exitAge) ?? 0,
  };
}

type Check = readonly [ok: boolean, field: string, description: string];

/** Lengths of time by their field. */
function lengths(durations: Readonly<Record<string, Duration | undefined>>): Check[] {
  return Object.entries(durations).map(([field, duration]) => {
    const fault = duration && durationFault(duration, MAX_MS);
    return [fault === undefined, field, fault ?? ""];
  });
}

/** The faults of a notice. */
function noticeChecks(notice: MachineNoticeMessage | undefined): Check[] {
  if (!notice) return [];
  const { source, receiveAfter, endAfter } = notice;
  return [
    ...lengths({ "notice.receive_after": receiveAfter, "notice.end_after": endAfter }),
    [
      NOTICE_SOURCE.test(source),
      "notice.source",
      `${quoted(source)} is no name of a cloud: for example aws, gcp or azure`,
    ],
  ];
}

function toNotice(notice: MachineNoticeMessage): MachineNotice {
  const { source, event, detail, receiveAfter, endAfter } = notice;
  const endAfterMs = toMs(endAfter);
  return {
    source,
    event: storable(event, MAX_NOTICE_EVENT),
    detail: storable(detail, MAX_TEXT),
    receivedAfterMs: toMs(receiveAfter) ?? 0,
    ...(endAfterMs === undefined ? {} : { endAfterMs }),
  };
}

type Launched = ReportLaunchRequest | ReportExitRequest;

function toLaunch(request: Launched): Omit<LaunchReport, "ageMs"> {
  const facts: LaunchFacts = {
    command: storable(request.command, MAX_COMMAND),
    hostname: storable(request.hostname, MAX_TEXT),
    pid: request.pid,
    supervisor: storable(request.supervisor, MAX_TEXT),
    startNumber: Math.max(1, request.startNumber),
    registerTimeoutMs: toMs(request.registerTimeout) ?? DEFAULT_REGISTER_TIMEOUT_MS,
    lastError: storable(request.lastError, MAX_TEXT),
    ...(request.notice ? { notice: toNotice(request.notice) } : {}),
  };
  return {
    launchId: request.launchId,
    workerId: request.workerId || request.launchId,
    pool: storable(request.pool, MAX_POOL),
    facts,
    phases: request.startupPhases.slice(0, MAX_PHASES).map(toStartupPhase),
  };
}

function check({ launchId, workerId }: Launched, further: readonly Check[]): void {
  const shown = (text: string) => quoted(text, 140);
  const violations: Violation[] = [
    [NAME.test(launchId), "launch_id", `${shown(launchId)} ${NAME_RULE}`] as const,
    [
      workerId === "" || WORKER_ID.test(workerId),
      "worker_id",
      `${shown(workerId)} ${WORKER_ID_RULE}`,
    ] as const,
    ...further,
  ].flatMap(([ok, field, description]) => (ok ? [] : [{ field, description }]));
  const [first, ...rest] = violations;
  if (first) throw invalidRequest(first, ...rest);
}

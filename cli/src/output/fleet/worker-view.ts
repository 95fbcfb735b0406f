/** Shows a worker as text. */
import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { formatAge, formatDuration } from "@muster/common/text/duration-text";
import type {
  Heartbeat,
  RunningAttempt,
  SlotRelease,
  StartupPhase,
  Worker,
  WorkerFatal,
} from "@muster/protocol";
import { WorkerState } from "@muster/protocol";
import type { Io } from "../../io/io.ts";
import { durationCell, labelsText, momentCell, workerStateCell } from "../cells.ts";
import type { Cell } from "../table.ts";
import { writeFields, writeTable } from "../table.ts";
import { formatBytes, oneLine, printable } from "../text.ts";
import { busyText } from "../words/busy-text.ts";
import { expectationText } from "../words/expectation-text.ts";
import { launchFields } from "./launch-view.ts";
import { refusalLine } from "./rejection-view.ts";
import { writeSettings } from "./settings-view.ts";

const PHASE_COLUMNS = [
  { title: "STARTUP PHASE", shrink: "last" },
  { title: "OUTCOME" },
  { title: "AFTER" },
  { title: "DETAIL", shrink: "last" },
] as const;

const RUNNING_COLUMNS = [
  { title: "ATTEMPT" },
  { title: "PHASE", shrink: "last" },
  { title: "FOR" },
  { title: "DONE", align: "right" },
  { title: "NOTE", shrink: "last" },
] as const;

/** Shows one worker with all its fields. */
export function writeWorker(worker: Worker, { stdout, clock }: Io, allSettings = false): void {
  const now = clock.now();
  const { colors } = stdout;
  const state = workerStateCell(worker, colors);
  writeFields(stdout, [
    ["id", worker.id],
    ["session", unlessEmpty(worker.sessionId)],
    ["state", state],
    ["ended", unlessEmpty(worker.goneReason)],
    ...worker.refusals.map((refusal): [string, Cell] => [
      "refused",
      { text: refusalLine(refusal, now), paint: colors.red },
    ]),
    ["paused", worker.paused ? { text: worker.pauseReason || "yes", paint: colors.yellow } : undefined],
    ["paused since", momentCell(worker.operatorPause?.pauseTime, now)],
    [
      "quarantined",
      worker.quarantine ? { text: worker.quarantine.summary, paint: colors.yellow } : undefined,
    ],
    ["quarantined since", momentCell(worker.quarantine?.startTime, now)],
    ["next probe", momentCell(worker.quarantine?.probeTime, now)],
    ["startup", unlessEmpty(worker.usualStartup)],
    ["pool", unlessEmpty(worker.pool)],
    ["build", unlessEmpty(worker.buildId)],
    ["labels", unlessEmpty(labelsText(worker.labels))],
    ["types", worker.taskTypes.map(typeText).join(" ")],
    ...worker.taskTypes.flatMap((type): [string, string][] => {
      const text = adaptiveText(type, worker, now);
      return text === undefined ? [] : [["adaptive limit", text]];
    }),
    ["queues", unlessEmpty(worker.queues.join(" "))],
    ["busy", worker.state === WorkerState.REFUSED ? undefined : busyText(worker)],
    ["completed", completedText(worker)],
    ["idle for", worker.completions?.idleAge && durationCell(worker.completions.idleAge)],
    ["capacities", unlessEmpty(capacitiesText(worker))],
    ["resources", unlessEmpty(worker.resources.join(" "))],
    ["host", unlessEmpty(hostText(worker))],
    ["sdk", unlessEmpty(worker.sdk)],
    ["scheduler", unlessEmpty(worker.schedulerId)],
    ["connected", momentCell(worker.connectTime, now)],
    ["last heartbeat", momentCell(worker.heartbeatTime, now)],
    ["gone", momentCell(worker.goneTime, now)],
    ...(worker.lastHeartbeat === undefined ? [] : heartbeatFields(worker.lastHeartbeat)),
    ...(worker.launch === undefined ? [] : launchFields(worker.launch, now)),
    ["fatal", worker.fatal && { text: fatalText(worker.fatal), paint: colors.red }],
    ...(stdout.isTTY
      ? []
      : worker.running.map((attempt): [string, string] => ["running", runningText(attempt, worker, now)])),
    ...(stdout.isTTY
      ? []
      : completedPhases(worker.startupPhases).map((phase): [string, string] => [
          "startup",
          phaseText(phase),
        ])),
  ]);
  const frames = worker.lastHeartbeat?.mainStack?.frames ?? [];
  const settings = {
    heading: colors.bold("Settings"),
    allBy: `muster worker ${worker.id} --settings`,
    all: allSettings,
  };
  if (!stdout.isTTY) {
    writeSettings(stdout, worker.settings, settings);
    return;
  }
  if (worker.running.length > 0) stdout.write("\n");
  writeTable(
    stdout,
    RUNNING_COLUMNS,
    worker.running.map((attempt) => runningRow(attempt, worker, now)),
  );
  if (worker.startupPhases.length > 0) stdout.write("\n");
  writeTable(stdout, PHASE_COLUMNS, completedPhases(worker.startupPhases).map(phaseRow));
  if (worker.settings.length > 0) writeSettings(stdout, worker.settings, settings);
  if (frames.length > 0)
    stdout.write(`\n${colors.dim(stackTitle(worker.lastHeartbeat))}\n${frames.map(oneLine).join("\n")}\n`);
  const traceback = worker.fatal?.traceback ?? "";
  if (traceback !== "") stdout.write(`\n${colors.dim("traceback")}\n${printable(traceback).trimEnd()}\n`);
  const tail = worker.launch?.exit?.logTail ?? "";
  if (tail !== "") stdout.write(`\n${colors.dim("last output")}\n${printable(tail).trimEnd()}\n`);
}

function heartbeatFields(heartbeat: Heartbeat): [string, Cell | undefined][] {
  const age = heartbeat.eventLoopAge;
  const p99 = heartbeat.eventLoopDelayP99;
  return [
    [
      "event loop ran",
      age && {
        text: `${formatDuration(durationMs(age))} before that heartbeat`,
        plain: String(durationMs(age)),
      },
    ],
    ["loop delay p99", p99 && durationCell(p99)],
    [
      "cpu",
      { text: `${Math.round(heartbeat.cpuUsage * 100)}% of one core`, plain: String(heartbeat.cpuUsage) },
    ],
    [
      "blocked at",
      heartbeat.mainStack && {
        text: heartbeat.mainStack.frames[0] ?? "",
        plain: heartbeat.mainStack.frames.join(" < "),
      },
    ],
    ["memory", { text: formatBytes(Number(heartbeat.rssBytes)), plain: String(heartbeat.rssBytes) }],
  ];
}

/** Above the stack: when it was read, and how long the loop had been blocked then. */
function stackTitle(heartbeat: Heartbeat | undefined): string {
  const { age, blockedAge } = heartbeat?.mainStack ?? {};
  const read = `read ${formatDuration(age ? durationMs(age) : 0)} before that heartbeat`;
  return `main loop, ${read}, when it had been blocked for ${formatDuration(blockedAge ? durationMs(blockedAge) : 0)}`;
}

/** What is taken of each capacity besides the slots, as `gpu_memory_mb 8000/24000`. */
export function capacitiesText({ capacities, activeCount, releasedCount }: Worker): string {
  return capacities
    .filter(({ name, used }) => name !== "slots" || Number(used) !== activeCount - releasedCount)
    .map(({ name, total, used }) => `${name} ${used}/${total}`)
    .join(" ");
}

function completedText({ completions }: Worker): string | undefined {
  if (!completions) return undefined;
  const { completedCount, recentCompletedCount, age } = completions;
  const since = age ? `, ${formatDuration(durationMs(age))} ago` : "";
  return `${completedCount}, ${recentCompletedCount} of them in 5 min${since}`;
}

function typeText({ taskType, concurrency, adaptive }: Worker["taskTypes"][number]): string {
  if (adaptive) return `${taskType}×${adaptive.limit}`;
  return concurrency === 0 ? taskType : `${taskType}×${concurrency}`;
}

/** `resize 3 of 1 to 8, lowered 12 s ago from 4: 3 of 11 attempts failed`; undefined for a type that does not adapt. */
function adaptiveText(
  { taskType, adaptive }: Worker["taskTypes"][number],
  { heartbeatTime }: Worker,
  now: number,
): string | undefined {
  if (adaptive === undefined) return undefined;
  const { limit, minLimit, maxLimit, previousLimit, reason, changeAge } = adaptive;
  const bounds = `${taskType} ${limit} of ${minLimit} to ${maxLimit}`;
  if (previousLimit === 0 || changeAge === undefined) return bounds;
  const beatAgeMs = heartbeatTime === undefined ? 0 : Math.max(0, now - timestampMs(heartbeatTime));
  const change = previousLimit > limit ? "lowered" : "raised";
  return `${bounds}, ${change} ${formatAge(durationMs(changeAge) + beatAgeMs)} from ${previousLimit}: ${reason}`;
}

function hostText({ host }: Worker): string {
  if (host === undefined) return "";
  const machine =
    host.cpuCount === 0 ? "" : `${host.cpuCount} cpus, ${formatBytes(Number(host.memoryBytes))}`;
  const facts = [host.runtime, machine, host.cwd].filter(Boolean).join(", ");
  return `${host.hostname} pid ${host.pid}${facts === "" ? "" : ` (${facts})`}`;
}

function fatalText({ phase, exceptionClass, exceptionMessage, exitCode }: WorkerFatal): string {
  return `${exceptionClass}: ${exceptionMessage} (in ${phase || "an unknown phase"}, exit code ${exitCode})`;
}

function runningRow(attempt: RunningAttempt, worker: Worker, now: number): (Cell | string)[] {
  return [
    attempt.attemptId,
    attempt.phase,
    durationCell(attempt.phaseAge),
    attempt.progress === undefined ? "" : `${Math.floor(attempt.progress * 100)}%`,
    noteText(attempt, worker, now),
  ];
}

function runningText(attempt: RunningAttempt, worker: Worker, now: number): string {
  return [attempt.attemptId, attempt.phase, noteText(attempt, worker, now)].filter(Boolean).join(" ");
}

function noteText(
  { cancelling, resultPending, revoked, expectation, slotRelease }: RunningAttempt,
  { heartbeatTime }: Worker,
  now: number,
): string {
  if (revoked) return "revoked, its handler has not returned";
  if (cancelling) return "cancelling";
  if (slotRelease) return waitText(slotRelease);
  if (resultPending) return "result waits for its acknowledgement";
  return expectation ? expectationText(expectation, heartbeatTime, now) : "";
}

/** `without its slots for 5 s, waits for t-7 t-8 and 3 more tasks`. */
function waitText({ age, taskIds, taskCount, reason, returning }: SlotRelease): string {
  const without = `without its slots for ${formatDuration(age ? durationMs(age) : 0)}`;
  if (returning) return `${without}, waits for room to go on`;
  const more = taskCount > taskIds.length ? [`and ${taskCount - taskIds.length} more tasks`] : [];
  const what = [...taskIds, ...more, ...(reason === "" ? [] : [reason])].join(" ");
  return what === "" ? without : `${without}, waits for ${what}`;
}

/** Startup phases without the start of a phase whose end follows; connecting ends with the registration. */
function completedPhases(phases: readonly StartupPhase[]): StartupPhase[] {
  return phases.filter(({ phase, outcome }, at) => {
    if (outcome !== "started") return true;
    const end = phase === "scheduler_connecting" ? "registered" : phase;
    return !phases.slice(at + 1).some((later) => later.phase === end);
  });
}

function phaseRow({ phase, outcome, elapsed, detail }: StartupPhase): (Cell | string)[] {
  return [phase, outcome || "ok", durationCell(elapsed), detail];
}

function phaseText({ phase, outcome, detail }: StartupPhase): string {
  return [phase, outcome || "ok", detail].filter(Boolean).join(" ");
}

function unlessEmpty(text: string): string | undefined {
  return text === "" ? undefined : text;
}

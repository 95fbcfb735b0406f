/** Finds out why a launch failed, from what its supervisor, its driver and its session reported. */
import { plural, span } from "../explain/reason.ts";
import { type ExitRecord, endingSignal, exitInWords } from "../workers/launch.ts";
import { lastDialError } from "./engines/dial-error.ts";
import { ENDS, engineCause, isDisruption } from "./engines/engine-cause.ts";
import { NEVER_ACCEPTS } from "./guard.ts";
import type { Diagnosis, KnownLaunch, LaunchCause, LaunchObservation } from "./pool-launch.ts";

/** Output that is younger than this is still growing, milliseconds. */
const GROWING_MS = 60_000;

/** A main loop that has not run for this long is named, milliseconds. */
const BLOCKED_MS = 1_000;

/** Characters of the output's end that stand in a summary. */
const QUOTED = 200;

/** Exit codes of shells and container engines for a command that is missing or not executable. */
const NOT_FOUND_CODES: ReadonlySet<number> = new Set([126, 127]);

const AUTHENTICATION =
  /UNAUTHENTICATED|PERMISSION_DENIED|INVALID_TOKEN|\btoken\b|certificate|self[- ]signed|unauthori[sz]ed/i;
const RESOLUTION = /ENOTFOUND|EAI_AGAIN|ENODATA|could not resolve|name resolution|getaddrinfo|DNS/i;

/** Addresses of the machine itself. */
const LOOPBACK = /\b127\.\d+\.\d+\.\d+\b|\blocalhost\b|\[::1\]/;

/** The end of a process as whoever saw it reports it. */
type SeenExit = Pick<
  ExitRecord,
  "exitCode" | "signal" | "outOfMemory" | "outOfMemoryEvidence" | "startError"
>;

type Evidence = Diagnosis["evidence"][number];

/**
 * Why a launch that was not planned to end has ended, or has not become ready in time.
 *
 * @param nowMs The database's clock.
 */
export function diagnose(known: KnownLaunch, nowMs: number): Diagnosis {
  const { launch, session, supervised } = known;
  const exit = exitOf(known);
  const logTail = supervised?.end?.logTail || launch.observation?.logTail || "";
  const found = exit
    ? ended(known, exit, logTail)
    : launch.readyMs !== undefined
      ? silent(known, nowMs)
      : session
        ? neverReady(known, nowMs)
        : unregistered(known, nowMs);
  return { ...found, evidence: [...found.evidence, ...context(known)], logTail };
}

type Found = Omit<Diagnosis, "logTail">;

function ended(
  { launch, supervised, session, rejection }: KnownLaunch,
  exit: SeenExit,
  logTail: string,
): Found {
  const evidence = exitEvidence(exit);
  const last = lastLine(logTail);
  const saying = last ? `; its last output: ${last}` : "; it had no output";
  const { observation } = launch;
  if (observation && isDisruption(observation)) {
    return {
      cause: "DISRUPTED",
      summary: `its engine took it away ${launch.readyMs === undefined ? "before it was ready" : "while it was ready"}: ${inEngineWords(observation)}`,
      evidence: [...evidence, ...engineEvidence(observation)],
      remedy: "nothing is wrong with the pool: another worker takes its place when one is wanted",
    };
  }
  const engine = supervised?.end || !observation ? undefined : engineCause(observation);
  if (engine && observation) {
    return {
      ...engine,
      summary: `it was not started: ${inEngineWords(observation)}`,
      evidence: [...evidence, ...engineEvidence(observation)],
    };
  }
  const removed = !supervised?.end && observation?.reason === "ContainerRemoved";
  const words = removed
    ? "lost its container, which was removed"
    : `${exitInWords({ stopRequested: false, ranForMs: 0, ...exit })}${supervised?.end || !observation ? "" : engineNote(observation)}`;
  if (exit.startError || NOT_FOUND_CODES.has(exit.exitCode ?? 0)) {
    return {
      cause: "COMMAND_NOT_FOUND",
      summary: exit.startError
        ? `its command ${words}`
        : `its command was not found or is not executable (exit code ${exit.exitCode})${saying}`,
      evidence,
      remedy: `correct \`template.command\` or the image of the pool, then run \`muster pool apply\``,
    };
  }
  if (exit.outOfMemory) {
    return {
      cause: "OUT_OF_MEMORY",
      summary: `it ${words}`,
      evidence,
      remedy: "give the worker more memory, or let it load less at its start",
    };
  }
  if (launch.readyMs !== undefined) {
    return {
      cause: "LOST",
      summary: `it was ready, then ${words}${saying}`,
      evidence,
      remedy: `run \`muster why ${launch.workerId}\` for what it held`,
    };
  }
  // A worker that reached the scheduler did not end because of a dial.
  const dial = session === undefined ? supervised?.lastError || rejection || lastDialError(logTail) : "";
  if (dial) return connection(dial, `it ${words}`, evidence, supervised !== undefined);
  const fatal = supervised?.end?.exit?.fatal;
  const thrown = fatal ? `; it threw ${fatal.exceptionClass}: ${oneLine(fatal.exceptionMessage)}` : saying;
  return {
    cause: removed || endingSignal({ stopRequested: false, ranForMs: 0, ...exit }) ? "KILLED" : "EXITED",
    summary: `it ${words} before it was ready${thrown}`,
    evidence: fatal
      ? [
          ...evidence,
          { key: "exception", value: `${fatal.exceptionClass}: ${oneLine(fatal.exceptionMessage)}` },
        ]
      : evidence,
    remedy: removed
      ? "find out who removes containers of the launcher, which are named muster-LAUNCH"
      : "fix what its last output names, then run `muster pool resume NAME` to launch at once",
  };
}

/** It was ready, and its session is gone although its process was not seen to end. */
function silent({ launch, session }: KnownLaunch, nowMs: number): Found {
  const ago = session?.goneMs === undefined ? "" : ` ${span(Math.max(0, nowMs - session.goneMs))} ago`;
  return {
    cause: "LOST",
    summary: `its worker was ready and is ${session?.goneReason || "gone"}${ago}, and its process was not seen to end`,
    evidence: [],
    remedy: `run \`muster why ${launch.workerId}\`; the pool ends the process`,
  };
}

/** Registered, and not ready in time. */
function neverReady({ launch, session }: KnownLaunch, nowMs: number): Found {
  const last = session?.phases.at(-1);
  const phase = last
    ? `its last phase is ${last.phase}, reached ${span(last.elapsedMs)} after its start`
    : "it reported no phase";
  return {
    cause: "NEVER_READY",
    summary: `it registered, but was not ready ${span(nowMs - startOf(launch))} after its launch: ${phase}`,
    evidence: last ? [{ key: "last_phase", value: last.phase }] : [],
    remedy: "raise `startup_timeout` if this phase may take longer; otherwise find out what it waits for",
  };
}

/** It is ready, and answers no assignment. */
export function diagnoseUnaccepted({ launch, session }: KnownLaunch): Diagnosis {
  const { unaccepted = 0, loopAgeMs = 0 } = session ?? {};
  const blocked = loopAgeMs >= BLOCKED_MS ? `; its main loop has not run for ${span(loopAgeMs)}` : "";
  return {
    cause: NEVER_ACCEPTS,
    summary: `it became ready, and did not accept ${plural(unaccepted, "assignment")} in a row in time${blocked}`,
    evidence: [
      { key: "unaccepted", value: String(unaccepted) },
      ...(blocked ? [{ key: "loop_age_ms", value: String(Math.round(loopAgeMs)) }] : []),
      ...context({ launch, session, supervised: undefined, rejection: "" }),
    ],
    remedy: `find out what keeps its main loop from running: \`muster why ${launch.workerId}\` and \`muster stack\` while such a worker runs, or its last output`,
    logTail: launch.observation?.logTail ?? "",
  };
}

/** Never registered, and its process was not seen to end. */
function unregistered({ launch, supervised, rejection }: KnownLaunch, nowMs: number): Found {
  const { observation } = launch;
  const after = `${span(nowMs - startOf(launch))} after its launch`;
  const dial = supervised?.lastError || rejection || lastDialError(observation?.logTail ?? "");
  if (dial) return connection(dial, `it still runs ${after}`, [], supervised !== undefined);
  if (!observation && !supervised) {
    return {
      cause: "LAUNCHER_SILENT",
      summary: `launcher ${launch.launcherId ?? "?"} received it and reported nothing of it ${after}`,
      evidence: [],
      remedy: "look at the log of the launcher, and whether it runs",
    };
  }
  if (observation?.phase === "pending") return pending(observation, after, nowMs);
  const last = supervised?.phases.at(-1);
  const reached = last ? `its last phase is ${last.phase}` : "it reported no startup phase";
  const growing = isGrowing(observation, nowMs);
  if (growing || (last && observation?.outputAgeMs === undefined)) {
    return {
      cause: "STILL_STARTING",
      summary: `it still starts ${after}: ${reached}${growing ? `, and it wrote output ${span(outputAge(observation, nowMs) ?? 0)} ago (${observation?.outputBytes} bytes so far)` : ""}`,
      evidence: last ? [{ key: "last_phase", value: last.phase }] : [],
      remedy: "raise `startup_timeout`, or make the start shorter, for example by installing into the image",
    };
  }
  const quiet = outputAge(observation, nowMs);
  return {
    cause: "NO_OUTPUT",
    summary: `it runs ${after} and has not dialled the scheduler: ${reached}, and ${quiet === undefined ? "it wrote no output" : `its last output was ${span(quiet)} ago`}`,
    evidence: last ? [{ key: "last_phase", value: last.phase }] : [],
    remedy: "run the command of the pool by hand on a machine of the launcher",
  };
}

/** The engine has it and no process runs. @param after How long after its launch. */
function pending(observation: LaunchObservation, after: string, nowMs: number): Found {
  const evidence = engineEvidence(observation);
  const summary = `it was not started ${after}: ${inEngineWords(observation) || "the engine gave no reason"}`;
  const engine = engineCause(observation);
  if (engine) return { ...engine, summary, evidence };
  if (observation.reason !== "Pulling")
    return {
      ...{ cause: "PENDING", summary, evidence },
      remedy: "look at the engine: it does not start the worker for this reason",
    };
  const age = outputAge(observation, nowMs);
  const grew = age === undefined ? "" : `, which last grew ${span(age)} ago`;
  return isGrowing(observation, nowMs)
    ? {
        ...{ cause: "STILL_STARTING", evidence },
        summary: `its image is still being pulled ${after}: ${oneLine(observation.detail)}${grew}`,
        remedy: "raise `startup_timeout`, or pull the image on the engine's machine before",
      }
    : {
        ...{ cause: "REGISTRY_UNREACHABLE", evidence },
        summary: `the pull of its image makes no progress ${after}: ${oneLine(observation.detail)}${grew}`,
        remedy: "look at the connection from the engine to the registry",
      };
}

function inEngineWords({ reason, detail }: LaunchObservation): string {
  return [reason, oneLine(detail)].filter(Boolean).join(": ");
}

/** What the engine says of an end besides its exit code. */
function engineNote(observation: LaunchObservation): string {
  const { reason, detail } = observation;
  return ENDS.has(reason) || (reason === "" && detail !== "") ? ` (${inEngineWords(observation)})` : "";
}

function engineEvidence({ reason }: LaunchObservation): Evidence[] {
  return reason ? [{ key: "engine_reason", value: reason }] : [];
}

/** What the error of a dial means. @param supervised Whether it is a process of a machine, not of a container. */
function connection(error: string, how: string, evidence: readonly Evidence[], supervised: boolean): Found {
  const cause: LaunchCause = AUTHENTICATION.test(error)
    ? "CANNOT_AUTHENTICATE"
    : RESOLUTION.test(error)
      ? "CANNOT_RESOLVE"
      : "CANNOT_REACH";
  const verb = {
    CANNOT_AUTHENTICATE: "cannot authenticate to the scheduler",
    CANNOT_RESOLVE: "cannot resolve the address of the scheduler",
    CANNOT_REACH: "cannot reach the scheduler",
  }[cause];
  const remedy = {
    CANNOT_AUTHENTICATE:
      "give the worker the token and the certificates of this scheduler (`MUSTER_TOKEN`, `MUSTER_TLS_CA`)",
    CANNOT_RESOLVE:
      "correct `MUSTER_SCHEDULER_ADDR` in `launch_template.env`, or the name server of the workers' machines",
    CANNOT_REACH:
      !supervised && LOOPBACK.test(error)
        ? "correct `MUSTER_SCHEDULER_ADDR` in `launch_template.env`: in a container without the host's network, this address is the container itself"
        : "correct `MUSTER_SCHEDULER_ADDR` in `launch_template.env`, or open the way from the workers' machines to it",
  }[cause];
  return {
    cause,
    summary: `it ${verb}: ${oneLine(error)}; ${how}`,
    evidence: [{ key: "last_dial_error", value: oneLine(error) }, ...evidence],
    remedy,
  };
}

function context({ launch, supervised, session }: KnownLaunch): Evidence[] {
  const host = supervised?.hostname;
  const { observation } = launch;
  const state = observation?.phase === "running" && observation.reason ? inEngineWords(observation) : "";
  return [
    ...(state ? [{ key: "engine_state", value: state }] : []),
    { key: "launch_id", value: launch.launchId },
    ...(launch.launcherId ? [{ key: "launcher", value: launch.launcherId }] : []),
    ...(host ? [{ key: "host", value: host }] : []),
    ...(session ? [] : [{ key: "registered", value: "never" }]),
  ];
}

function exitEvidence(exit: SeenExit): Evidence[] {
  return [
    ...(exit.exitCode === undefined ? [] : [{ key: "exit_code", value: String(exit.exitCode) }]),
    ...(exit.signal ? [{ key: "signal", value: exit.signal }] : []),
    ...(exit.startError ? [{ key: "start_error", value: exit.startError }] : []),
    ...(exit.outOfMemoryEvidence ? [{ key: "out_of_memory", value: exit.outOfMemoryEvidence }] : []),
  ];
}

/** The end of the process, as its supervisor saw it, or else its driver; undefined while neither did. */
export function exitOf({
  launch,
  supervised,
}: Pick<KnownLaunch, "launch" | "supervised">): SeenExit | undefined {
  if (supervised?.end?.exit) return supervised.end.exit;
  const { observation } = launch;
  if (observation?.phase !== "ended") return undefined;
  return {
    ...(observation.exitCode === undefined ? {} : { exitCode: observation.exitCode }),
    signal: observation.signal,
    outOfMemory: observation.outOfMemory,
    outOfMemoryEvidence: observation.outOfMemory ? observation.detail || observation.reason : "",
    startError: observation.reason === "StartError" ? observation.detail : "",
  };
}

/** When its time to become ready began. */
export function startOf({
  sendMs,
  orderMs,
}: {
  readonly sendMs: number | undefined;
  readonly orderMs: number;
}): number {
  return sendMs ?? orderMs;
}

function outputAge(observation: LaunchObservation | undefined, nowMs: number): number | undefined {
  if (observation?.outputAgeMs === undefined) return undefined;
  return observation.outputAgeMs + Math.max(0, nowMs - observation.atMs);
}

function isGrowing(observation: LaunchObservation | undefined, nowMs: number): boolean {
  const age = outputAge(observation, nowMs);
  return age !== undefined && age < GROWING_MS;
}

/** The last line of an output that has text, cut. */
function lastLine(output: string): string {
  const line = output.trimEnd().split("\n").at(-1)?.trim() ?? "";
  return line.length > QUOTED ? `...${line.slice(-QUOTED)}` : line;
}

function oneLine(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length > QUOTED ? `${line.slice(0, QUOTED)}...` : line;
}

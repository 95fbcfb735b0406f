/** Shows launches as text. */
import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { formatDuration } from "@muster/common/text/duration-text";
import type { Launch, LaunchExit } from "@muster/protocol";
import { momentCell } from "../cells.ts";
import type { Cell } from "../table.ts";
import { oneLine } from "../text.ts";

/** How a launch ended, in short form: `killed: SIGKILL`, `launch_failed: exit code 3`. */
export function exitText(exit: LaunchExit): string {
  const how =
    exit.startError ||
    exit.outOfMemoryEvidence ||
    exit.signal ||
    (exit.exitCode === undefined ? "" : `exit code ${exit.exitCode}`);
  const asked = exit.killReason === "" ? "" : `; kill asked for: ${oneLine(exit.killReason)}`;
  return `${how === "" ? exit.reason : `${exit.reason}: ${oneLine(how)}`}${asked}`;
}

/** An operator's request to end a launch that has not ended; undefined when there is none. */
export function stopText({ stop, exit }: Launch): string | undefined {
  if (stop === undefined || exit !== undefined) return undefined;
  return `kill asked for: ${oneLine(stop.reason)}`;
}

/** The notice of the cloud about the machine of a launch; undefined when there is none. */
export function noticeText({ notice, launchTime }: Launch, now: number): string | undefined {
  if (notice === undefined || launchTime === undefined) return undefined;
  const { source, event, endAfter } = notice;
  const word = event === "" ? source : `${source}: ${oneLine(event)}`;
  if (endAfter === undefined) return `${word} (an advice)`;
  const leftMs = timestampMs(launchTime) + durationMs(endAfter) - now;
  return leftMs > 0
    ? `${word}; the machine ends in ${formatDuration(leftMs)}`
    : `${word}; the machine was to end ${formatDuration(-leftMs)} ago`;
}

/** The fields of a worker's launch. */
export function launchFields(launch: Launch, now: number): [string, Cell | string | undefined][] {
  const { exit, registerTimeLeft } = launch;
  const runDuration = exit?.runDuration && ` after ${formatDuration(durationMs(exit.runDuration))}`;
  return [
    ["launch", `${launch.id} (start ${launch.startNumber})`],
    ["launched", momentCell(launch.launchTime, now)],
    ["command", launch.command],
    ["process", `pid ${launch.pid} on ${launch.hostname}`],
    ["supervisor", launch.supervisorSilent ? `${launch.supervisor}, silent` : launch.supervisor],
    ["last report", momentCell(launch.reportTime, now)],
    [
      "time to register",
      registerTimeLeft && {
        text: `${formatDuration(durationMs(registerTimeLeft))} left`,
        plain: String(durationMs(registerTimeLeft)),
      },
    ],
    ["dial error", launch.lastError === "" ? undefined : launch.lastError],
    ["stop", stopText(launch)],
    ["notice", noticeText(launch, now)],
    ["exit", exit && `${exitText(exit)}${runDuration ?? ""}`],
    ["restart", exit && momentCell(exit.restartTime, now)],
  ];
}

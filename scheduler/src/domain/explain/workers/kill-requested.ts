/** Explains workers whose end an operator asked for. */
import type { LaunchRecord } from "../../workers/launch.ts";
import { type Reason, span } from "../reason.ts";

/**
 * `KILL_REQUESTED`: an operator asked its supervisor to end the process, which has not been reported as ended; nothing
 * without a request.
 *
 * @param now The database's clock.
 */
export function killRequested(launch: LaunchRecord | undefined, now: Date): Reason[] {
  if (!launch?.stop || launch.end) return [];
  const { stop, supervisor, hostname, pid } = launch;
  const reportMs = Math.max(0, now.getTime() - launch.reportTime.getTime());
  const askedMs = Math.max(0, now.getTime() - stop.time.getTime());
  return [
    {
      code: "KILL_REQUESTED",
      summary: `an operator asked ${span(askedMs)} ago to kill its process: ${stop.reason}; its supervisor, which last reported ${span(reportMs)} ago, has not reported its end`,
      since: stop.time,
      evidence: [
        { key: "kill_reason", value: stop.reason, source: "launch", ageMs: askedMs },
        { key: "grace", value: `SIGKILL ${span(stop.graceMs)} after SIGTERM`, source: "launch" },
        { key: "restart", value: stop.restart ? "at once" : "none", source: "launch" },
        { key: "process", value: `pid ${pid} on ${hostname || "an unknown host"}`, source: "launch" },
        { key: "supervisor", value: supervisor, source: "launch", ageMs: reportMs },
      ],
      remedy: `wait for the grace of ${span(stop.graceMs)}; if the process still runs a minute later, end it on ${hostname || "its host"} with \`kill -9 ${pid}\``,
    },
  ];
}

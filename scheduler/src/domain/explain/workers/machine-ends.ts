/** Explains workers whose machine is taken away by its cloud. */
import { type LaunchRecord, machineEndMs } from "../../workers/launch.ts";
import { type Evidence, type Reason, span } from "../reason.ts";

/**
 * `MACHINE_ENDS`: the cloud has said that it ends the machine, or advises to leave it, and the end of the process has not been
 * reported; nothing without a notice.
 *
 * @param now The database's clock.
 */
export function machineEnds(launch: LaunchRecord | undefined, now: Date): Reason[] {
  if (!launch?.notice || launch.end?.exit) return [];
  const { notice, hostname, supervisor } = launch;
  const { source, event, detail, receivedAfterMs } = notice;
  const since = new Date(launch.launchTime.getTime() + receivedAfterMs);
  const saidMs = Math.max(0, now.getTime() - since.getTime());
  const reportMs = Math.max(0, now.getTime() - launch.reportTime.getTime());
  const endMs = machineEndMs(launch);
  const leftMs = endMs === undefined ? undefined : endMs - now.getTime();
  const evidence: Evidence[] = [
    { key: "notice", value: detail ? `${event}: ${detail}` : event, source: "launch", ageMs: saidMs },
    ...(endMs === undefined
      ? []
      : [{ key: "machine_end", value: new Date(endMs).toISOString(), source: "launch" }]),
    { key: "supervisor", value: supervisor, source: "launch", ageMs: reportMs },
  ];
  const machine = hostname ? `its machine ${hostname}` : "its machine";
  const said = `${event}, ${span(saidMs)} ago`;
  if (leftMs === undefined)
    return [
      {
        code: "MACHINE_ENDS",
        summary: `${source} advises to leave ${machine} (${said}); nothing is drained for that`,
        ...{ since, evidence },
        remedy: "run `muster drain` if another worker should take its place before the machine ends",
      },
    ];
  return [
    {
      code: "MACHINE_ENDS",
      summary:
        leftMs > 0
          ? `${source} ends ${machine} in ${span(leftMs)} (${said}): it finishes what it can until then`
          : `${source} was to end ${machine} ${span(-leftMs)} ago (${said}), and the end of its process was not reported`,
      ...{ since, evidence },
      remedy:
        "nothing to do: what it holds then is requeued and uses up no attempt; a pool starts another worker when one is wanted",
    },
  ];
}

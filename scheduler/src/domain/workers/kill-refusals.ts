/** Why a worker's process cannot be ended by request, and what to do instead. */
import { Refusal } from "../errors.ts";
import { span } from "../explain/reason.ts";
import type { LaunchRecord } from "./launch.ts";
import type { WorkerRecord } from "./worker.ts";

/** `WORKER_GONE`: it has ended. @param now The database's clock. */
export function workerGone({ workerId, goneReason, launch }: WorkerRecord, now: Date): Refusal {
  const reason = launch?.end?.reason ?? goneReason;
  const leftMs = (launch?.end?.restartTime?.getTime() ?? 0) - now.getTime();
  const next =
    leftMs > 0
      ? `; its supervisor starts it again in ${span(leftMs)}: ask again then, or stop ${launch?.supervisor} on ${launch?.hostname}`
      : "";
  return new Refusal(
    "precondition",
    "WORKER_GONE",
    `worker ${workerId} has already ended (${reason})${next}`,
  );
}

/** `WORKER_NOT_SUPERVISED`: no supervisor reports it. */
export function workerNotSupervised({ workerId, hello }: WorkerRecord): Refusal {
  const { pid, hostname } = hello.host;
  return new Refusal(
    "precondition",
    "WORKER_NOT_SUPERVISED",
    `no supervisor (\`muster run\`) reports worker ${workerId}, so nothing can end its process by request: drain it with DrainWorker, or end its process on ${hostname || "its host"} with \`kill ${pid}\``,
  );
}

/** `SUPERVISOR_SILENT`: its supervisor would not receive the request. @param now The database's clock. */
export function supervisorSilent(launch: LaunchRecord, now: Date): Refusal {
  const { workerId, supervisor, hostname, pid, reportTime } = launch;
  return new Refusal(
    "precondition",
    "SUPERVISOR_SILENT",
    `the supervisor of worker ${workerId}, ${supervisor} on ${hostname || "an unknown host"}, has not reported for ${span(now.getTime() - reportTime.getTime())}, so it would not receive the request: if the process still runs, end it on that host with \`kill ${pid}\``,
  );
}

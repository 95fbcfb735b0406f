/** What the worker of a running task uses, as of its last heartbeat. */
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { fleet } from "../../data/transport.ts";
import { bytes, durationMs, span } from "../../format/span.ts";
import { Ago } from "../../ui/time.tsx";

/** Workers send a heartbeat every few seconds, milliseconds. */
const WORKER_MS = 5_000;

export function WorkerNow({ workerId }: { workerId: string }): ReactNode {
  const { data } = useLive(
    ["worker", workerId],
    (options) => fleet.getWorker({ workerId }, options),
    WORKER_MS,
  );
  const worker = data?.worker;
  const beat = worker?.lastHeartbeat;
  if (!worker || !beat) return null;
  const delay = durationMs(beat.eventLoopDelayP99);
  return (
    <p className="muted small">
      <Link to="/workers/$id" params={{ id: workerId }}>
        {workerId}
      </Link>{" "}
      used {Math.round(beat.cpuUsage * 100)} % of a processor and {bytes(beat.rssBytes)} of memory
      {delay === undefined ? "" : `, with a loop delay of ${span(delay)},`} at its last heartbeat,{" "}
      <Ago time={worker.heartbeatTime} />.
    </p>
  );
}

/** A worker: why it is in its state or idle, how it started, what it runs and what it said last. */
import { Code, ConnectError } from "@connectrpc/connect";
import { type Worker, WorkerState } from "@muster/protocol";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { fleet } from "../../data/transport.ts";
import { bytes, durationMs, span } from "../../format/span.ts";
import { workerLook } from "../../format/worker-state.ts";
import { Answer } from "../../ui/answer.tsx";
import { Badge } from "../../ui/badge.tsx";
import { Copyable } from "../../ui/copy.tsx";
import { FactList } from "../../ui/fact-list.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Reasons } from "../../ui/reason.tsx";
import { Ago } from "../../ui/time.tsx";
import { RunningAttempts } from "./running-attempts.tsx";
import { StartupPhases } from "./startup-phases.tsx";
import { WorkerActions } from "./worker-actions.tsx";

const WORKER_MS = 3_000;

const route = getRouteApi("/workers/$id");

export function WorkerPage(): ReactNode {
  const { id } = route.useParams();
  const query = useLive(["worker", id], (options) => fleet.getWorker({ workerId: id }, options), WORKER_MS);
  const explanation = useLive(
    ["worker-explanation", id],
    (options) => fleet.explainWorker({ workerId: id }, options),
    WORKER_MS,
  );
  if (query.error && !query.data && ConnectError.from(query.error).code === Code.NotFound)
    return (
      <div className="page">
        <h1>There is no worker {id}</h1>
        <p>
          No process of this name has dialled, or its record was dropped by the retention.{" "}
          <Link to="/workers">All workers</Link>
        </p>
      </div>
    );
  return (
    <div className="page">
      <Answer query={query}>{({ worker }) => (worker ? <Head worker={worker} /> : null)}</Answer>
      <Panel title="Why" flush>
        <Answer query={explanation}>
          {({ explanation: found }) => (found ? <Reasons explanation={found} /> : null)}
        </Answer>
      </Panel>
      {query.data?.worker ? <Rest worker={query.data.worker} /> : null}
    </div>
  );
}

function Head({ worker }: { worker: Worker }): ReactNode {
  const { word, tone } = workerLook(worker.state);
  return (
    <div className="title">
      <div className="row">
        <h1>{worker.id}</h1>
        <Badge tone={tone}>{word}</Badge>
        {worker.goneReason === "" || worker.goneReason === word ? null : (
          <span className="muted">{worker.goneReason}</span>
        )}
        {worker.paused ? (
          <Badge tone="warn" icon="pause">
            paused
          </Badge>
        ) : null}
      </div>
      <div className="row">
        <Link className="button" to="/tasks" search={{ worker: worker.id }}>
          Its tasks
        </Link>
        <WorkerActions worker={worker} />
      </div>
    </div>
  );
}

function Rest({ worker }: { worker: Worker }): ReactNode {
  const { lastHeartbeat: beat, host, fatal, launch, completions, labels } = worker;
  const loop = durationMs(beat?.eventLoopDelayP99);
  const ended = worker.state === WorkerState.GONE || worker.state === WorkerState.LOST;
  return (
    <>
      {ended ? null : <RunningAttempts worker={worker} />}
      {fatal ? (
        <Panel title="Its fatal error">
          <p className="failure">
            {fatal.exceptionClass}: {fatal.exceptionMessage}
          </p>
          {fatal.traceback === "" ? null : <pre className="text-content">{fatal.traceback}</pre>}
        </Panel>
      ) : null}
      {launch?.exit && launch.exit.logTail !== "" ? (
        <Panel title="The last lines of its output">
          <pre className="text-content">{launch.exit.logTail}</pre>
        </Panel>
      ) : null}
      <StartupPhases worker={worker} />
      <Panel title="Facts">
        <FactList
          facts={[
            ["Connected", worker.connectTime ? <Ago key="c" time={worker.connectTime} /> : undefined],
            [
              "Last heartbeat",
              worker.heartbeatTime ? <Ago key="h" time={worker.heartbeatTime} /> : undefined,
            ],
            ["Ended", worker.goneTime ? <Ago key="g" time={worker.goneTime} /> : undefined],
            [
              "Completed",
              completions
                ? `${completions.completedCount} attempts, ${completions.recentCompletedCount} of them within 5 min`
                : undefined,
            ],
            ["Memory", beat ? bytes(beat.rssBytes) : undefined],
            ["Processor", beat ? `${Math.round(beat.cpuUsage * 100)} % of a core` : undefined],
            ["Delay of its main loop", loop === undefined ? undefined : span(loop)],
            ["Machine", host ? `${host.hostname}, process ${host.pid}, ${host.runtime}` : undefined],
            ["Program", worker.sdk],
            ["Scheduler", worker.schedulerId],
            ["Pool", worker.pool],
            ["Queues", worker.queues.join(", ")],
            ["Task types", worker.taskTypes.map(({ taskType }) => taskType).join(", ")],
            [
              "Labels",
              Object.entries(labels)
                .map(([name, value]) => `${name}=${value}`)
                .join(", "),
            ],
            ["Resources", worker.resources.join(", ")],
            [
              "Capacities",
              worker.capacities.map(({ name, used, total }) => `${name} ${used}/${total}`).join(", "),
            ],
          ]}
        />
      </Panel>
      <Panel title="From a terminal">
        <Copyable text={`npx muster why ${worker.id}`} />
      </Panel>
    </>
  );
}

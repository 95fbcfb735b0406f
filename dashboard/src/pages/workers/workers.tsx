/** All workers by pool; ended ones are apart. */
import { type Worker, WorkerState } from "@muster/protocol";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useNow } from "../../data/clock.ts";
import { useLive } from "../../data/live.ts";
import { grpcAddressQuery } from "../../data/session.ts";
import { fleet } from "../../data/transport.ts";
import { bytes, durationMs, plural, span, timestampMs } from "../../format/span.ts";
import { workerLook } from "../../format/worker-state.ts";
import { Answer } from "../../ui/answer.tsx";
import { Badge } from "../../ui/badge.tsx";
import { Copyable } from "../../ui/copy.tsx";
import { Panel } from "../../ui/panel.tsx";
import { byPool } from "./by-pool.ts";

const WORKERS_MS = 3_000;
const MAX_WORKERS = 1_000;

const LIVING = [
  WorkerState.LAUNCHING,
  WorkerState.CONNECTING,
  WorkerState.REGISTERED,
  WorkerState.READY,
  WorkerState.DRAINING,
  WorkerState.SUSPECT,
  WorkerState.REFUSED,
];
const ENDED = [WorkerState.LOST, WorkerState.GONE];

const route = getRouteApi("/workers");

/** Of the two links to this page one is the current one. */
const EXACT = { exact: true, includeSearch: true } as const;

export function Workers(): ReactNode {
  const ended = route.useSearch().show === "ended";
  const workers = useLive(
    ["workers", ended],
    (options) => fleet.listWorkers({ pageSize: MAX_WORKERS, states: ended ? ENDED : LIVING }, options),
    WORKERS_MS,
  );
  return (
    <div className="page">
      <div className="title">
        <h1>Workers</h1>
        <nav className="row" aria-label="Which workers">
          <Link to="/workers" search={{}} className="button" activeOptions={EXACT}>
            Living
          </Link>
          <Link to="/workers" search={{ show: "ended" }} className="button" activeOptions={EXACT}>
            Ended
          </Link>
        </nav>
      </div>
      <Answer query={workers}>
        {({ workers: list, nextPageToken }) =>
          list.length === 0 ? (
            <NoWorkers ended={ended} />
          ) : (
            <>
              {nextPageToken === "" ? null : (
                <p className="muted">
                  The newest {MAX_WORKERS} workers; the search box finds others by their id.
                </p>
              )}
              {byPool(list).map(({ pool, members }) => (
                <Panel
                  key={pool}
                  title={pool === "" ? "Without a pool" : `Pool ${pool}`}
                  note={plural(members.length, "worker")}
                >
                  <ul className="worker-grid">
                    {members.map((worker) => (
                      <WorkerCard key={`${worker.id} ${worker.sessionId}`} worker={worker} />
                    ))}
                  </ul>
                </Panel>
              ))}
            </>
          )
        }
      </Answer>
    </div>
  );
}

function NoWorkers({ ended }: { ended: boolean }): ReactNode {
  const { data: address = "127.0.0.1:7070" } = useQuery(grpcAddressQuery);
  if (ended) return <p className="muted">No worker has ended within the time that records are kept.</p>;
  return (
    <Panel title="No worker is connected" flush>
      <div className="empty">
        <p>Start one with the address of this scheduler; it appears here as soon as it dials:</p>
        <Copyable text={`MUSTER_SCHEDULER_ADDR=${address} node worker.ts`} />
      </div>
    </Panel>
  );
}

function WorkerCard({ worker }: { worker: Worker }): ReactNode {
  const now = useNow();
  const { id, state, goneReason, slotCount, activeCount, lastHeartbeat, heartbeatTime, paused, quarantine } =
    worker;
  const { word, tone } = workerLook(state);
  const beat = timestampMs(heartbeatTime);
  const delay = durationMs(lastHeartbeat?.eventLoopDelayP99);
  const ended = state === WorkerState.GONE || state === WorkerState.LOST;
  return (
    <li className={`worker-card ${tone}`}>
      <div className="row spread">
        <Link to="/workers/$id" params={{ id }} className="clip worker-name">
          {id}
        </Link>
        <Badge tone={tone}>{ended ? goneReason || word : word}</Badge>
      </div>
      {ended ? null : (
        <p className="slots num">
          <Slots active={activeCount} slots={slotCount} />
          <span>
            {activeCount}/{slotCount} slots
          </span>
        </p>
      )}
      <p className="muted small num">
        {[
          lastHeartbeat ? bytes(lastHeartbeat.rssBytes) : "",
          delay === undefined ? "" : `loop ${span(delay)}`,
          beat === undefined
            ? ""
            : `heartbeat ${span(Math.floor(Math.max(0, now - beat) / 1_000) * 1_000)} ago`,
        ]
          .filter((part) => part !== "")
          .join(" · ")}
      </p>
      {paused || quarantine ? (
        <p className="row">
          {paused ? (
            <Badge tone="warn" icon="pause">
              paused
            </Badge>
          ) : null}
          {quarantine ? <Badge tone="bad">quarantined</Badge> : null}
        </p>
      ) : null}
    </li>
  );
}

/** Slots that are drawn one by one. */
const DRAWN = 16;

function Slots({ active, slots }: { active: number; slots: number }): ReactNode {
  const count = Math.min(DRAWN, Math.max(1, slots));
  const used = Math.round((Math.min(active, slots) / Math.max(1, slots)) * count);
  return (
    <svg width={count * 9} height="10" aria-hidden="true" focusable="false">
      {Array.from({ length: count }, (_, n) => (
        <rect
          key={n}
          className={n < used ? "slot used" : "slot"}
          x={n * 9 + 0.5}
          y="0.5"
          width="7"
          height="9"
          rx="1.5"
        />
      ))}
    </svg>
  );
}

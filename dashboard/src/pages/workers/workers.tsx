/** All workers by pool; ended ones are apart. */
import { type Worker, WorkerState } from "@muster/protocol";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useNow } from "../../data/clock.ts";
import { useLive } from "../../data/live.ts";
import { grpcAddressQuery } from "../../data/session.ts";
import { fleet } from "../../data/transport.ts";
import { bytes, durationMs, span, timestampMs } from "../../format/span.ts";
import { workerLook } from "../../format/worker-state.ts";
import { Answer } from "../../ui/answer.tsx";
import { Badge } from "../../ui/badge.tsx";
import { Copyable } from "../../ui/copy.tsx";
import { Panel } from "../../ui/panel.tsx";
import { byPool, leaseText, statesOf } from "./by-pool.ts";

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
  const { show, pool = "" } = route.useSearch();
  const ended = show === "ended";
  const ofPool = pool === "" ? {} : { pool };
  const workers = useLive(
    ["workers", ended, pool],
    (options) => fleet.listWorkers({ pageSize: MAX_WORKERS, states: ended ? ENDED : LIVING, pool }, options),
    WORKERS_MS,
  );
  return (
    <div className="page">
      <div className="title">
        <h1>{pool === "" ? "Workers" : `Workers of the pool ${pool}`}</h1>
        <nav className="row" aria-label="Which workers">
          <Link to="/workers" search={ofPool} className="button" activeOptions={EXACT}>
            Living
          </Link>
          <Link to="/workers" search={{ show: "ended", ...ofPool }} className="button" activeOptions={EXACT}>
            Ended
          </Link>
        </nav>
      </div>
      <Answer query={workers}>
        {({ workers: list, nextPageToken }) =>
          list.length === 0 ? (
            <NoWorkers ended={ended} pool={pool} />
          ) : (
            <>
              {nextPageToken === "" ? null : (
                <p className="muted">
                  The newest {MAX_WORKERS} workers; the search box finds others by their id.
                </p>
              )}
              {byPool(list).map(({ pool: name, members }) => (
                <Panel
                  key={name}
                  title={name === "" ? "Without a pool" : `Pool ${name}`}
                  note={<PoolNote pool={name} members={members} />}
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

/** How many workers there are in which state, and the way to their pool. */
function PoolNote({ pool, members }: { pool: string; members: readonly Worker[] }): ReactNode {
  return (
    <>
      {statesOf(members)}
      {pool === "" ? null : (
        <>
          {" · "}
          <Link to="/pools/$name" params={{ name: pool }}>
            its launches
          </Link>
        </>
      )}
    </>
  );
}

function NoWorkers({ ended, pool }: { ended: boolean; pool: string }): ReactNode {
  const { data: address = "127.0.0.1:7070" } = useQuery(grpcAddressQuery);
  if (ended) return <p className="muted">No worker has ended within the time that records are kept.</p>;
  if (pool !== "")
    return (
      <Panel title={`The pool ${pool} has no worker`} flush>
        <p className="empty">
          <Link to="/pools/$name" params={{ name: pool }}>
            Its page has its launches, and why there is none.
          </Link>
        </p>
      </Panel>
    );
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
  const leaseEnd = timestampMs(worker.leaseEndTime);
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
      {ended || leaseEnd === undefined || beat === undefined ? null : (
        <Lease worker={worker} beat={beat} end={leaseEnd} />
      )}
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

const LEASE_WIDTH = 100;

/** What is left of the lease that the last heartbeat began: when it is used up, the worker is suspect. */
function Lease({ worker, beat, end }: { worker: Worker; beat: number; end: number }): ReactNode {
  const { text, share } = leaseText(worker, { beat, end }, useNow());
  return (
    <div className="lease">
      <svg viewBox={`0 0 ${LEASE_WIDTH} 3`} preserveAspectRatio="none" aria-hidden="true" focusable="false">
        <rect className="bar-all" width={LEASE_WIDTH} height="3" />
        <rect className={share < 0.5 ? "lease-late" : "bar-done"} width={LEASE_WIDTH * share} height="3" />
      </svg>
      <span className="muted small num">{text}</span>
    </div>
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

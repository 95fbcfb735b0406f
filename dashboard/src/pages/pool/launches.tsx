/** The launches of a pool, newest first: where each stands, and why it failed, with the end of its output. */
import { type PoolLaunch, PoolLaunchState } from "@muster/protocol";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { pools } from "../../data/pools.ts";
import { launchLook } from "../../format/pool-state.ts";
import { span, timestampMs } from "../../format/span.ts";
import { Answer } from "../../ui/answer.tsx";
import { Badge } from "../../ui/badge.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Sentence } from "../../ui/sentence.tsx";
import { Ago } from "../../ui/time.tsx";

const LAUNCHES_MS = 3_000;
const SHOWN = 50;

export function Launches({ pool }: { pool: string }): ReactNode {
  const query = useLive(
    ["pool-launches", pool],
    (options) => pools.listPoolLaunches({ pool, pageSize: SHOWN }, options),
    LAUNCHES_MS,
  );
  return (
    <Answer query={query}>
      {({ launches, nextPageToken }) => (
        <Panel title="Launches" note={nextPageToken === "" ? "newest first" : `the newest ${SHOWN}`} flush>
          {launches.length === 0 ? (
            <p className="empty muted">No worker was launched within the time that records are kept.</p>
          ) : (
            <ul className="launches">
              {launches.map((launch) => (
                <LaunchLine key={launch.launchId} launch={launch} />
              ))}
            </ul>
          )}
        </Panel>
      )}
    </Answer>
  );
}

function LaunchLine({ launch }: { launch: PoolLaunch }): ReactNode {
  const { word, tone } = launchLook(launch);
  const ordered = timestampMs(launch.orderTime);
  const ready = timestampMs(launch.readyTime);
  return (
    <li className="launch" id={`launch-${launch.launchId}`}>
      <div className="row spread">
        <div className="row">
          <Link to="/workers/$id" params={{ id: launch.workerId }} className="mono">
            {launch.workerId}
          </Link>
          <Badge tone={tone}>{word}</Badge>
          {launch.probe ? <Badge tone="info">probe</Badge> : null}
          {launch.engineReason === "" ? null : (
            <span className="muted small" title={launch.engineDetail}>
              {launch.engineReason}
            </span>
          )}
        </div>
        <span className="muted small">
          {launch.state === PoolLaunchState.ENDED && launch.endTime ? (
            <>
              ended <Ago time={launch.endTime} />
            </>
          ) : (
            <>
              ordered <Ago time={launch.orderTime} />
            </>
          )}
          {ordered === undefined || ready === undefined ? "" : ` · ready after ${span(ready - ordered)}`}
          {` · template ${launch.templateVersion}`}
        </span>
      </div>
      {launch.summary === "" ? null : (
        <p>
          <code>{launch.cause}</code> <Sentence text={launch.summary} />
        </p>
      )}
      {launch.remedy === "" ? null : (
        <p className="muted">
          <Sentence text={launch.remedy} />
        </p>
      )}
      <p className="muted small">
        <Sentence text={launch.stopReason === "" ? launch.reason : launch.stopReason} />
      </p>
      {launch.logTail === "" ? null : (
        <details>
          <summary>The last lines of its output</summary>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keys */}
          <pre className="text-content" tabIndex={0}>
            {launch.logTail}
          </pre>
        </details>
      )}
    </li>
  );
}

/** A pool: why it is in its state, its workers against what is wanted, its guard, rollout and launches. */
import { Code, ConnectError } from "@connectrpc/connect";
import type { Pool } from "@muster/protocol";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { pools } from "../../data/pools.ts";
import { poolLook } from "../../format/pool-state.ts";
import { compact, durationMs, span } from "../../format/span.ts";
import { Answer } from "../../ui/answer.tsx";
import { Badge } from "../../ui/badge.tsx";
import { Copyable } from "../../ui/copy.tsx";
import { FactList } from "../../ui/fact-list.tsx";
import { FigureRow } from "../../ui/figures/figures.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Reasons } from "../../ui/reason.tsx";
import { Ago } from "../../ui/time.tsx";
import { Guard } from "./guard.tsx";
import { Launches } from "./launches.tsx";
import { PoolActions } from "./pool-actions.tsx";
import { Rollout } from "./rollout.tsx";

const POOL_MS = 3_000;

const route = getRouteApi("/pools/$name");

export function PoolPage(): ReactNode {
  const { name } = route.useParams();
  const query = useLive(["pool", name], (options) => pools.getPool({ name }, options), POOL_MS);
  const explanation = useLive(
    ["pool-explanation", name],
    (options) => pools.explainPool({ name }, options),
    POOL_MS,
  );
  if (query.error && !query.data && ConnectError.from(query.error).code === Code.NotFound)
    return (
      <div className="page">
        <h1>There is no pool {name}</h1>
        <p>
          None of this name was applied, or it was deleted. <Link to="/pools">All pools</Link>
        </p>
      </div>
    );
  return (
    <div className="page">
      <Answer query={query}>{({ pool }) => (pool ? <Head pool={pool} /> : null)}</Answer>
      <Panel title="Why" flush>
        <Answer query={explanation}>
          {({ explanation: found }) => (found ? <Reasons explanation={found} /> : null)}
        </Answer>
      </Panel>
      {query.data?.pool ? <Rest pool={query.data.pool} /> : null}
    </div>
  );
}

function Head({ pool }: { pool: Pool }): ReactNode {
  const { word, tone } = poolLook(pool);
  return (
    <div className="title">
      <div className="row">
        <h1>
          <span className="muted">Pool</span> {pool.spec?.name}
        </h1>
        <Badge tone={tone} {...(pool.pauseTime ? { icon: "pause" as const } : {})}>
          {word}
        </Badge>
      </div>
      <div className="row">
        <Link className="button" to="/workers" search={{ pool: pool.spec?.name ?? "" }}>
          Its workers
        </Link>
        <PoolActions pool={pool} />
      </div>
    </div>
  );
}

function Rest({ pool }: { pool: Pool }): ReactNode {
  const { spec, launchGuard, rollout } = pool;
  const name = spec?.name ?? "";
  const start = durationMs(pool.usualStart);
  return (
    <>
      <FigureRow
        figures={[
          { label: "Wanted", value: compact(pool.desiredCount), note: "workers" },
          {
            label: "Ready",
            value: compact(pool.readyCount),
            note: pool.readyCount < pool.desiredCount ? "fewer than wanted" : "workers",
            bad: pool.readyCount < pool.desiredCount && pool.startingCount === 0,
          },
          {
            label: "Starting",
            value: compact(pool.startingCount),
            note: start === undefined ? "not ready yet" : `usually ${span(start)}`,
          },
          { label: "Draining", value: compact(pool.stoppingCount), note: "finish what they hold" },
          { label: "Most", value: compact(spec?.maxWorkers ?? 0), note: `at least ${spec?.minWorkers ?? 0}` },
          { label: "Tasks that wait", value: compact(pool.waitingCount), note: "could start now" },
          { label: "Attempts", value: compact(pool.heldCount), note: "held by its workers" },
        ]}
      />
      {launchGuard ? <Guard guard={launchGuard} /> : null}
      {rollout ? <Rollout rollout={rollout} /> : null}
      <Launches pool={name} />
      <Settings pool={pool} />
      <Panel title="From a terminal">
        <Copyable text={`npx muster why pool:${name}\nnpx muster pool plan ${name}`} />
      </Panel>
    </>
  );
}

function Settings({ pool }: { pool: Pool }): ReactNode {
  const { spec } = pool;
  const offer = spec?.offer;
  const template = spec?.launchTemplate;
  const time = (name: "startupTimeout" | "idleTimeout" | "drainTimeout") => {
    const ms = durationMs(spec?.[name]);
    return ms === undefined ? undefined : span(ms);
  };
  return (
    <Panel title="Settings" note={`spec ${pool.specVersion}, template ${pool.templateVersion}`}>
      <FactList
        facts={[
          [
            "Paused",
            pool.pauseTime ? (
              <span key="pause">
                {pool.pauseReason} <Ago time={pool.pauseTime} />
              </span>
            ) : undefined,
          ],
          [
            "Launcher",
            pool.launcherId === ""
              ? "none has had it"
              : `${pool.launcherId}${pool.launcherConnected ? "" : " (away)"}`,
          ],
          ["Build", pool.buildId],
          ["Command", template ? <code key="command">{template.command.join(" ")}</code> : undefined],
          ["Driver", template?.driver.case],
          ["Secrets", template?.secrets.map((secret) => secret.name).join(", ")],
          ["Task types", offer?.taskTypes.join(", ")],
          ["Queues", offer?.queues.join(", ") || "default"],
          [
            "Labels",
            Object.entries(offer?.labels ?? {})
              .map(([key, value]) => `${key}=${value}`)
              .join(", "),
          ],
          ["Resources", offer?.resources.join(", ")],
          ["Starts at once", spec?.maxStarting],
          ["Startup timeout", time("startupTimeout")],
          ["Idle timeout", time("idleTimeout")],
          ["Drain timeout", time("drainTimeout")],
          [
            "Higher minimums",
            spec?.scheduledMinimums
              .map(
                (each) =>
                  `${each.minWorkers} from ${each.cron} ${each.timezone || "UTC"} for ${span(durationMs(each.duration) ?? 0)}`,
              )
              .join(", "),
          ],
          ["Applied", pool.updateTime ? <Ago key="update" time={pool.updateTime} /> : undefined],
        ]}
      />
    </Panel>
  );
}

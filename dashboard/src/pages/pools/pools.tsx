/** All pools: what is wanted, what is there, and what keeps workers away. */
import type { Pool } from "@muster/protocol";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { pools as calls } from "../../data/pools.ts";
import { poolLook } from "../../format/pool-state.ts";
import { compact, durationMs, plural, span } from "../../format/span.ts";
import { Answer } from "../../ui/answer.tsx";
import { Badge } from "../../ui/badge.tsx";
import { Copyable } from "../../ui/copy.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Table } from "../../ui/table.tsx";
import { PoolActions } from "../pool/pool-actions.tsx";

const POOLS_MS = 3_000;
const MAX_POOLS = 1_000;

export function Pools(): ReactNode {
  const list = useLive(["pools"], (options) => calls.listPools({ pageSize: MAX_POOLS }, options), POOLS_MS);
  return (
    <div className="page">
      <div className="title">
        <h1>Pools</h1>
      </div>
      <Answer query={list}>
        {({ pools }) =>
          pools.length === 0 ? (
            <NoPools />
          ) : (
            <Panel title={plural(pools.length, "pool")} note="workers that start by themselves" flush>
              <Table
                headings={[
                  "Pool",
                  "State",
                  { title: "Wanted", end: true },
                  { title: "Ready", end: true },
                  { title: "Starting", end: true },
                  { title: "Draining", end: true },
                  { title: "Bounds", end: true },
                  { title: "Waiting", end: true },
                  { title: "Usual start", end: true },
                  { title: "Change", hidden: true },
                ]}
              >
                {pools.map((pool) => (
                  <PoolRow key={pool.spec?.name} pool={pool} />
                ))}
              </Table>
            </Panel>
          )
        }
      </Answer>
    </div>
  );
}

function PoolRow({ pool }: { pool: Pool }): ReactNode {
  const name = pool.spec?.name ?? "";
  const { word, tone } = poolLook(pool);
  const start = durationMs(pool.usualStart);
  return (
    <tr>
      <td>
        <Link to="/pools/$name" params={{ name }}>
          {name}
        </Link>
      </td>
      <td>
        <Badge tone={tone} {...(pool.pauseTime ? { icon: "pause" as const } : {})}>
          {word}
        </Badge>
      </td>
      <td className="end">{compact(pool.desiredCount)}</td>
      <td className="end">{compact(pool.readyCount)}</td>
      <td className="end">{compact(pool.startingCount)}</td>
      <td className="end">{compact(pool.stoppingCount)}</td>
      <td className="end">
        {pool.spec?.minWorkers} to {pool.spec?.maxWorkers}
      </td>
      <td className="end">{compact(pool.waitingCount)}</td>
      <td className="end">{start === undefined ? "–" : span(start)}</td>
      <td className="end">
        <PoolActions pool={pool} brief />
      </td>
    </tr>
  );
}

const FILE = `name: greeters
offer:
  task_types: [greet]
max_workers: 2
launch_template:
  command: [node, worker.js]
  process: {}`;

function NoPools(): ReactNode {
  return (
    <Panel title="No pool yet" flush>
      <div className="empty">
        <p>
          A pool starts workers when tasks wait, and stops them when they are idle. Describe one in{" "}
          <code>pool.yaml</code>:
        </p>
        <Copyable text={FILE} />
        <p>Look at what it would do, apply it, and run a launcher on the machine of the workers:</p>
        <Copyable
          text={"npx muster pool plan --file pool.yaml\nnpx muster pool apply pool.yaml\nnpx muster launcher"}
        />
      </div>
    </Panel>
  );
}

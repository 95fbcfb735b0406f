/** A batch: how far it is, its members by state, those that failed, and its completion task. */
import { Code, ConnectError } from "@connectrpc/connect";
import type { Batch } from "@muster/protocol";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { tasks } from "../../data/transport.ts";
import { compact, plural } from "../../format/span.ts";
import { Answer } from "../../ui/answer.tsx";
import { Badge } from "../../ui/badge.tsx";
import { Copyable } from "../../ui/copy.tsx";
import { FactList } from "../../ui/fact-list.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Ago } from "../../ui/time.tsx";
import { batchLook, endedShare } from "../batches/batch-state.ts";
import { MembersBar } from "../batches/members-bar.tsx";
import { BatchActions } from "./batch-actions.tsx";
import { Members } from "./members.tsx";

const BATCH_MS = 2_000;

const route = getRouteApi("/batches/$id");

export function BatchPage(): ReactNode {
  const { id } = route.useParams();
  const query = useLive(["batch", id], (options) => tasks.getBatch({ batchId: id }, options), BATCH_MS);
  if (query.error && !query.data && ConnectError.from(query.error).code === Code.NotFound)
    return (
      <div className="page">
        <h1>There is no batch {id}</h1>
        <p>
          None has this id, or its record was dropped by the retention. <Link to="/batches">All batches</Link>
        </p>
      </div>
    );
  return (
    <div className="page">
      <Answer query={query}>{({ batch }) => (batch ? <Shown batch={batch} /> : null)}</Answer>
    </div>
  );
}

function Shown({ batch }: { batch: Batch }): ReactNode {
  const { id, title, counts, completionTaskId, createTime, closeTime, cancelTime, cancelReason } = batch;
  const { word, tone } = batchLook(batch);
  const share = endedShare(counts);
  return (
    <>
      <div className="title">
        <div className="row">
          <h1>
            <span className="muted">Batch</span> {title === "" ? id : title}
          </h1>
          <Badge tone={tone}>{word}</Badge>
        </div>
        <div className="row">
          <BatchActions batch={batch} />
        </div>
      </div>
      {counts ? (
        <Panel
          title={
            share === undefined
              ? "No members yet"
              : `${Math.floor(share * 100)} % of ${plural(counts.totalCount, "task")} ended`
          }
          note={counts.failedCount === 0n ? undefined : `${compact(counts.failedCount)} failed`}
        >
          <MembersBar counts={counts} words />
        </Panel>
      ) : null}
      <Panel title="Facts">
        <FactList
          facts={[
            ["Id", <code key="id">{id}</code>],
            [
              "Completion task",
              completionTaskId === "" ? (
                "none"
              ) : (
                <Link key="task" to="/tasks/$id" params={{ id: completionTaskId }} className="mono">
                  {completionTaskId}
                </Link>
              ),
            ],
            ["Created", <Ago key="created" time={createTime} />],
            ["Closed", closeTime ? <Ago key="closed" time={closeTime} /> : "no: it takes tasks"],
            [
              "Cancelled",
              cancelTime ? (
                <span key="cancelled">
                  {cancelReason} <Ago time={cancelTime} />
                </span>
              ) : undefined,
            ],
          ]}
        />
      </Panel>
      <Members batch={id} />
      <Panel title="From a terminal">
        <Copyable text={`npx muster batch ${id}\nnpx muster retry --batch ${id} --state failed --dry-run`} />
      </Panel>
    </>
  );
}

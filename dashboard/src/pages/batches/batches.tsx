/** Batches, the newest first: how far each is, and what failed. */
import type { Batch } from "@muster/protocol";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { tasks } from "../../data/transport.ts";
import { compact } from "../../format/span.ts";
import { Answer } from "../../ui/answer.tsx";
import { Badge } from "../../ui/badge.tsx";
import { Copyable } from "../../ui/copy.tsx";
import { Choice } from "../../ui/forms/choice.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Progress } from "../../ui/progress.tsx";
import { Table } from "../../ui/table.tsx";
import { Ago } from "../../ui/time.tsx";
import { batchLook, endedShare } from "./batch-state.ts";
import { MembersBar } from "./members-bar.tsx";

const BATCHES_MS = 3_000;

/** A page has at most 100: each counts up to 10,000 members. */
const SHOWN = 50;

const MAX_TITLE = 256;

const WHICH = [
  { value: "all", label: "All" },
  { value: "open", label: "That take tasks" },
] as const;

const EXAMPLE = `const batch = await client.batch({ title: "March" });
await batch.submitMany(pages.map((payload) => ({ type: "ocr.page", payload })));
await batch.close();`;

const route = getRouteApi("/batches");

export function Batches(): ReactNode {
  const search = route.useSearch();
  const open = search.show === "open";
  const title = (search.title ?? "").slice(0, MAX_TITLE);
  const navigate = useNavigate();
  const choose = (changed: Record<string, string>) =>
    void navigate({ to: "/batches", search: { ...search, ...changed }, replace: true });
  const query = useLive(
    ["batches", open, title],
    (options) => tasks.listBatches({ pageSize: SHOWN, open, title }, options),
    BATCHES_MS,
  );
  return (
    <div className="page">
      <div className="title">
        <h1>Batches</h1>
        <div className="row">
          <input
            className="input"
            aria-label="Part of the title"
            placeholder="Part of the title"
            maxLength={MAX_TITLE}
            value={title}
            onChange={(event) => choose({ title: event.target.value })}
          />
          <Choice
            legend="Which batches"
            options={WHICH}
            value={open ? "open" : "all"}
            onChoose={(show) => choose({ show: show === "open" ? "open" : "" })}
          />
        </div>
      </div>
      <Answer query={query}>
        {({ batches, nextPageToken }) =>
          batches.length === 0 ? (
            <None filtered={open || title !== ""} />
          ) : (
            <Panel
              title={nextPageToken === "" ? "Batches" : `The newest ${batches.length} batches`}
              note="newest first"
              flush
            >
              <Table
                headings={[
                  "Batch",
                  "State",
                  "Members",
                  "Ended",
                  { title: "Failed", end: true },
                  { title: "All", end: true },
                  "Created",
                ]}
              >
                {batches.map((batch) => (
                  <BatchRow key={batch.id} batch={batch} />
                ))}
              </Table>
            </Panel>
          )
        }
      </Answer>
    </div>
  );
}

function BatchRow({ batch }: { batch: Batch }): ReactNode {
  const { id, title, counts, createTime } = batch;
  const { word, tone } = batchLook(batch);
  return (
    <tr>
      <td>
        <Link to="/batches/$id" params={{ id }} className="mono">
          {id}
        </Link>
        {title === "" ? null : <div>{title}</div>}
      </td>
      <td>
        <Badge tone={tone}>{word}</Badge>
      </td>
      <td>
        {counts ? (
          <MembersBar counts={counts} />
        ) : (
          <span className="muted">more than 10,000: its page counts them</span>
        )}
      </td>
      <td>
        <Progress share={endedShare(counts)} />
      </td>
      <td className="end">{counts ? compact(counts.failedCount) : "–"}</td>
      <td className="end">{counts ? compact(counts.totalCount) : "–"}</td>
      <td className="nowrap">
        <Ago time={createTime} />
      </td>
    </tr>
  );
}

function None({ filtered }: { filtered: boolean }): ReactNode {
  if (filtered)
    return (
      <p className="muted">
        No batch has all of this. <Link to="/batches">All batches</Link>
      </p>
    );
  return (
    <Panel title="No batch yet" flush>
      <div className="empty">
        <p>A batch counts tasks that belong together, and starts a task when all of them have ended:</p>
        <Copyable text={EXAMPLE} />
      </div>
    </Panel>
  );
}

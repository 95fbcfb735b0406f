/** The rest of what is known of a task. */
import type { Task } from "@muster/protocol";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { sessionQuery } from "../../data/session.ts";
import { bytes, durationMs, span } from "../../format/span.ts";
import { FactList } from "../../ui/fact-list.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Ago } from "../../ui/time.tsx";

export function TaskFacts({ task }: { task: Task }): ReactNode {
  const { headers, requirements, retryPolicy, timeouts, metrics, unique, ...rest } = {
    ...task,
    unique: task.uniqueKey,
  };
  const run = durationMs(timeouts?.run);
  const took = durationMs(metrics?.runDuration);
  const trace = headers.traceparent?.split("-")[1];
  const { data: session } = useQuery(sessionQuery);
  return (
    <Panel title="Facts">
      <FactList
        facts={[
          ["Created", <Ago key="created" time={rest.createTime} />],
          ["Ended", rest.finishTime ? <Ago key="ended" time={rest.finishTime} /> : undefined],
          ["Run of the last attempt", took === undefined ? undefined : span(took)],
          ["Peak memory of its worker", metrics?.peakRssBytes ? bytes(metrics.peakRssBytes) : undefined],
          ["Priority", String(rest.priority)],
          [
            "Tags",
            rest.tags.length === 0
              ? undefined
              : rest.tags.map((tag) => (
                  <Link key={tag} to="/tasks" search={{ tag }} className="badge">
                    {tag}
                  </Link>
                )),
          ],
          ["Unique key", unique],
          ["Concurrency keys", rest.concurrency.map(({ key }) => key).join(", ")],
          ["Rate limits", rest.rateLimits.map(({ key }) => key).join(", ")],
          ["Circuit", rest.circuit?.key],
          ["Fairness key", rest.fairness?.key],
          [
            "Retries",
            retryPolicy?.maxRetryCount === undefined ? undefined : `at most ${retryPolicy.maxRetryCount}`,
          ],
          ["Run timeout", run === undefined ? undefined : span(run)],
          ["Needs labels", labels(requirements?.labels)],
          ["Needs resources", requirements?.resources.join(", ")],
          ["Cancellation", rest.cancelTime ? rest.cancelReason || "without a reason" : undefined],
          [
            "Trace",
            trace === undefined ? undefined : <Trace key="trace" id={trace} url={session?.traceUrl} />,
          ],
          [
            "Measured",
            Object.entries(rest.measured)
              .map(([name, sum]) => `${name} ${sum}`)
              .join(", "),
          ],
        ]}
      />
    </Panel>
  );
}

/** @param url With `{trace_id}`; undefined where the scheduler was not told one. */
function Trace({ id, url }: { id: string; url: string | undefined }): ReactNode {
  if (url === undefined) return <code>{id}</code>;
  return (
    <a href={url.replaceAll("{trace_id}", encodeURIComponent(id))} rel="noreferrer" target="_blank">
      <code>{id}</code>
    </a>
  );
}

function labels(all: Readonly<Record<string, string>> = {}): string {
  return Object.entries(all)
    .map(([name, value]) => `${name}=${value}`)
    .join(", ");
}

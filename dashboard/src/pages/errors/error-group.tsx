/** A group of failures: where it is, how often and when, its example, and the retry of its tasks. */
import type { FailureGroup } from "@muster/protocol";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { compact, plural, span } from "../../format/span.ts";
import { Bars } from "../../ui/figures/bars.tsx";
import { Ago } from "../../ui/time.tsx";
import { BulkRetry } from "./bulk-retry.tsx";
import { alikeOf, retryCommand, retryOf, type windowOf } from "./windows.ts";

export function ErrorGroup({
  group,
  groups,
  kind,
  window,
  stepMs,
}: {
  group: FailureGroup;
  groups: readonly FailureGroup[];
  kind: "tasks" | "attempts";
  window: ReturnType<typeof windowOf>;
  /** Undefined for a scheduler that does not count over time. */
  stepMs: number | undefined;
}): ReactNode {
  const { cause, code, taskType, topFrame, failedCount, counts } = group;
  const alike = alikeOf(group, groups);
  return (
    <li className="error-group">
      <div className="error-what">
        <p className="row">
          <strong className="mono error-code">{code || "no code"}</strong>
          {cause === code ? null : <span className="muted small">{cause}</span>}
          {taskType === "" ? null : (
            <Link
              to="/tasks"
              search={kind === "tasks" ? { state: "failed", type: taskType } : { type: taskType }}
            >
              {taskType}
            </Link>
          )}
        </p>
        <p className="error-message">{group.exampleMessage}</p>
        {topFrame === "" ? null : <p className="mono muted error-frame">at {topFrame}</p>}
        <p className="muted small">
          last in{" "}
          <Link to="/tasks/$id" params={{ id: group.exampleTaskId }} className="mono">
            {group.exampleAttemptId || group.exampleTaskId}
          </Link>
          {group.exampleWorkerId === "" ? null : (
            <>
              {" on "}
              <Link to="/workers/$id" params={{ id: group.exampleWorkerId }}>
                {group.exampleWorkerId}
              </Link>
            </>
          )}
        </p>
      </div>
      <div className="error-when">
        {stepMs === undefined ? null : (
          <Bars
            counts={counts}
            label={`${code} over time: at most ${Math.max(0, ...counts)} within ${span(stepMs)}`}
          />
        )}
        <p className="muted small error-ends">
          <span>
            first <Ago time={group.firstTime} />
          </span>
          <span>
            last <Ago time={group.lastTime} />
          </span>
        </p>
      </div>
      <div className="error-count">
        <p>
          <strong className="num">{compact(failedCount)}</strong> <span className="muted small">{kind}</span>
        </p>
        {kind === "tasks" ? (
          <BulkRetry
            title={`Retry the failed tasks with ${code || cause}`}
            request={retryOf(group, window.seconds)}
            command={retryCommand(group, window.value)}
            note={
              alike === 0
                ? ""
                : `Those of ${plural(alike, "group")} with the same type and code are among them.`
            }
          />
        ) : null}
      </div>
    </li>
  );
}

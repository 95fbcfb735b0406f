/** What fails: groups by type, code and top frame, over time, with the retry of a whole group. */
import type { FailureStatistics } from "@muster/protocol";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { fleet } from "../../data/transport.ts";
import { compact, durationMs, plural, span } from "../../format/span.ts";
import { Answer } from "../../ui/answer.tsx";
import { Copyable } from "../../ui/copy.tsx";
import { Choice } from "../../ui/forms/choice.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Ago } from "../../ui/time.tsx";
import { ErrorGroup } from "./error-group.tsx";
import { WINDOWS, windowOf } from "./windows.ts";

/** The statement reads up to 100,000 failures of each kind. */
const ERRORS_MS = 10_000;

const KINDS = [
  { value: "tasks", label: "Tasks" },
  { value: "attempts", label: "Attempts" },
] as const;

const route = getRouteApi("/errors");

export function Errors(): ReactNode {
  const search = route.useSearch();
  const window = windowOf(search.window);
  const kind = search.kind === "attempts" ? "attempts" : "tasks";
  const navigate = useNavigate();
  const choose = (changed: Record<string, string>) =>
    void navigate({ to: "/errors", search: { ...search, ...changed }, replace: true });
  const statistics = useLive(
    ["errors", window.value],
    (options) =>
      fleet.getFailureStatistics({ window: { seconds: BigInt(window.seconds) }, byFrame: true }, options),
    ERRORS_MS,
  );
  return (
    <div className="page">
      <div className="title">
        <h1>Errors</h1>
        <div className="row">
          <Choice
            legend="What failed"
            options={KINDS}
            value={kind}
            onChoose={(value) => choose({ kind: value })}
          />
          <Choice
            legend="Time that is shown"
            options={WINDOWS}
            value={window.value}
            onChoose={(value) => choose({ window: value })}
          />
        </div>
      </div>
      <Answer query={statistics}>
        {(answer) => {
          const found = answer[kind];
          if (found === undefined || found.groups.length === 0) return <Nothing kind={kind} />;
          return (
            <Panel
              title={title(kind, found)}
              note={<Note found={found} ageMs={durationMs(answer.succeededAge)} />}
              flush
            >
              {answer.truncated ? (
                <p className="muted">
                  More than 100,000 failed: counted are the newest, since <Ago time={answer.startTime} />.
                </p>
              ) : null}
              <ul className="error-groups">
                {found.groups.map((group) => (
                  <ErrorGroup
                    key={`${group.cause} ${group.code} ${group.taskType} ${group.topFrame}`}
                    group={group}
                    groups={found.groups}
                    kind={kind}
                    window={window}
                    stepMs={durationMs(answer.step)}
                  />
                ))}
              </ul>
            </Panel>
          );
        }}
      </Answer>
      <Panel title="From a terminal">
        <Copyable text={`npx muster failures --since ${window.value}`} />
      </Panel>
    </div>
  );
}

function title(kind: "tasks" | "attempts", { failedCount, groupCount }: FailureStatistics): string {
  const what = kind === "tasks" ? plural(failedCount, "task") : plural(failedCount, "attempt");
  return `${what} failed in ${plural(groupCount, "way")}`;
}

function Note({ found, ageMs }: { found: FailureStatistics; ageMs: number | undefined }): ReactNode {
  const left = found.groupCount - BigInt(found.groups.length);
  const rate = found.successRate;
  return [
    rate === undefined || ageMs === undefined
      ? ""
      : `${Math.round(rate * 1_000) / 10} % succeeded, as counted ${span(Math.round(ageMs / 1_000) * 1_000)} ago`,
    left > 0n ? `${compact(left)} smaller groups are left out` : "",
  ]
    .filter((part) => part !== "")
    .join(" · ");
}

function Nothing({ kind }: { kind: "tasks" | "attempts" }): ReactNode {
  return (
    <Panel title={kind === "tasks" ? "No task failed for good" : "No attempt failed"} flush>
      <div className="empty">
        <p className="muted">
          {kind === "tasks"
            ? "Within this time. Attempts that failed and were tried again are among the attempts."
            : "Within this time."}{" "}
          A code of your own makes a group of its own:
        </p>
        <Copyable text={'throw new NonRetryableError("the page has no text", { code: "PAGE_EMPTY" });'} />
      </div>
    </Panel>
  );
}

/** A schedule: why it is in its state, its next and last runs, its tasks that are open, and what it submits. */
import { Code, ConnectError } from "@connectrpc/connect";
import type { Schedule } from "@muster/protocol";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { schedules } from "../../data/schedules.ts";
import { timestampMs } from "../../format/span.ts";
import { Answer } from "../../ui/answer.tsx";
import { Badge } from "../../ui/badge.tsx";
import { Copyable } from "../../ui/copy.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Reasons } from "../../ui/reason.tsx";
import { Table } from "../../ui/table.tsx";
import { Ago } from "../../ui/time.tsx";
import { inZone, scheduleLook, tickLook, timingInWords } from "../schedules/timing.ts";
import { ScheduleActions } from "./schedule-actions.tsx";
import { Submits } from "./submits.tsx";

const SCHEDULE_MS = 3_000;

const route = getRouteApi("/schedules/$name");

export function SchedulePage(): ReactNode {
  const { name } = route.useParams();
  const query = useLive(
    ["schedule", name],
    (options) => schedules.getSchedule({ name }, options),
    SCHEDULE_MS,
  );
  const explanation = useLive(
    ["schedule-explanation", name],
    (options) => schedules.explainSchedule({ name }, options),
    SCHEDULE_MS,
  );
  if (query.error && !query.data && ConnectError.from(query.error).code === Code.NotFound)
    return (
      <div className="page">
        <h1>There is no schedule {name}</h1>
        <p>
          None of this name was set, or it was deleted. <Link to="/schedules">All schedules</Link>
        </p>
      </div>
    );
  return (
    <div className="page">
      <Answer query={query}>{({ schedule }) => (schedule ? <Head schedule={schedule} /> : null)}</Answer>
      <Panel title="Why" flush>
        <Answer query={explanation}>
          {({ explanation: found }) => (found ? <Reasons explanation={found} /> : null)}
        </Answer>
      </Panel>
      {query.data?.schedule ? <Rest schedule={query.data.schedule} /> : null}
    </div>
  );
}

function Head({ schedule }: { schedule: Schedule }): ReactNode {
  const { word, tone } = scheduleLook(schedule.state);
  return (
    <div className="title">
      <div>
        <div className="row">
          <h1>
            <span className="muted">Schedule</span> {schedule.spec?.name}
          </h1>
          <Badge tone={tone} {...(schedule.pauseTime ? { icon: "pause" as const } : {})}>
            {word}
          </Badge>
        </div>
        <p className="muted">{schedule.spec ? timingInWords(schedule.spec) : ""}</p>
      </div>
      <div className="row">
        <ScheduleActions schedule={schedule} />
      </div>
    </div>
  );
}

function Rest({ schedule }: { schedule: Schedule }): ReactNode {
  const { spec, nextTimes, openTaskIds } = schedule;
  const zone = spec?.timing.case === "cron" ? spec.timing.value.timezone || "UTC" : "UTC";
  return (
    <>
      <div className="halves">
        <Panel title="Next runs" note={schedule.pauseTime ? "as if it were resumed" : zone}>
          {nextTimes.length === 0 ? (
            <p className="muted">No tick comes any more.</p>
          ) : (
            <ol className="stack-small">
              {nextTimes.map((time) => (
                <li key={String(time.seconds)} className="row spread">
                  <span className="num">{inZone(timestampMs(time), zone)}</span>
                  <span className="muted">
                    <Ago time={time} />
                  </span>
                </li>
              ))}
            </ol>
          )}
        </Panel>
        <Submits schedule={schedule} />
      </div>
      {openTaskIds.length === 0 ? null : (
        <Panel title="Its tasks that are open">
          <p className="row">
            {openTaskIds.map((id) => (
              <Link key={id} to="/tasks/$id" params={{ id }} className="mono">
                {id}
              </Link>
            ))}
          </p>
        </Panel>
      )}
      <Ticks schedule={schedule} zone={zone} />
      <Panel title="From a terminal">
        <Copyable text={`npx muster why schedule:${spec?.name}`} />
      </Panel>
    </>
  );
}

function Ticks({ schedule, zone }: { schedule: Schedule; zone: string }): ReactNode {
  return (
    <Panel title="Last runs" note="newest first, at most 20" flush>
      {schedule.ticks.length === 0 ? (
        <p className="empty muted">No tick has come yet.</p>
      ) : (
        <Table headings={["Tick", "Outcome", "Decided", "Task"]}>
          {schedule.ticks.map((tick) => {
            const { word, tone } = tickLook(tick);
            return (
              <tr key={`${tick.decideTime?.seconds} ${tick.tickTime?.seconds} ${tick.taskId}`}>
                <td className="num">
                  {inZone(timestampMs(tick.tickTime), zone)}
                  {tick.manual ? <span className="muted"> on request</span> : null}
                </td>
                <td>
                  <Badge tone={tone}>{word}</Badge>
                </td>
                <td>
                  <Ago time={tick.decideTime} />
                </td>
                <td>
                  {tick.taskId === "" ? (
                    <span className="muted">–</span>
                  ) : (
                    <Link to="/tasks/$id" params={{ id: tick.taskId }} className="mono">
                      {tick.taskId}
                    </Link>
                  )}
                </td>
              </tr>
            );
          })}
        </Table>
      )}
    </Panel>
  );
}

/** All schedules: when they submit, what came of it, and what stops them. */
import type { Schedule } from "@muster/protocol";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { schedules as calls } from "../../data/schedules.ts";
import { plural } from "../../format/span.ts";
import { Answer } from "../../ui/answer.tsx";
import { Badge } from "../../ui/badge.tsx";
import { Copyable } from "../../ui/copy.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Table } from "../../ui/table.tsx";
import { Ago } from "../../ui/time.tsx";
import { ScheduleActions } from "../schedule/schedule-actions.tsx";
import { scheduleLook, tickLook, timingInWords } from "./timing.ts";

const SCHEDULES_MS = 5_000;
const MAX_SCHEDULES = 1_000;

const EXAMPLE =
  'npx muster schedule set nightly-report --type report.build --cron "30 2 * * 1-5" --timezone Europe/Berlin';

export function Schedules(): ReactNode {
  const query = useLive(
    ["schedules"],
    (options) => calls.listSchedules({ pageSize: MAX_SCHEDULES }, options),
    SCHEDULES_MS,
  );
  return (
    <div className="page">
      <div className="title">
        <h1>Schedules</h1>
      </div>
      <Answer query={query}>
        {({ schedules, nextPageToken }) =>
          schedules.length === 0 ? (
            <Panel title="No schedule yet" flush>
              <div className="empty">
                <p>A schedule submits a task again and again:</p>
                <Copyable text={EXAMPLE} />
              </div>
            </Panel>
          ) : (
            <Panel
              title={
                nextPageToken === ""
                  ? plural(schedules.length, "schedule")
                  : `The first ${schedules.length} schedules`
              }
              flush
            >
              <Table
                headings={[
                  "Schedule",
                  "State",
                  "When",
                  "Next",
                  "Last",
                  "Task",
                  { title: "Change", hidden: true },
                ]}
              >
                {schedules.map((schedule) => (
                  <ScheduleRow key={schedule.spec?.name} schedule={schedule} />
                ))}
              </Table>
            </Panel>
          )
        }
      </Answer>
    </div>
  );
}

function ScheduleRow({ schedule }: { schedule: Schedule }): ReactNode {
  const { spec, state, dueTime, ticks, pauseReason } = schedule;
  const { word, tone } = scheduleLook(state);
  const [last] = ticks;
  const name = spec?.name ?? "";
  const tick = last && tickLook(last);
  return (
    <tr>
      <td>
        <Link to="/schedules/$name" params={{ name }}>
          {name}
        </Link>
      </td>
      <td>
        <Badge tone={tone} {...(schedule.pauseTime ? { icon: "pause" as const } : {})}>
          {word}
        </Badge>
        {pauseReason === "" ? null : <div className="message">{pauseReason}</div>}
        {schedule.failure ? <div className="message">{schedule.failure.message}</div> : null}
      </td>
      <td>
        {spec ? timingInWords(spec) : ""}
        {spec?.timing.case === "cron" ? (
          <div className="muted small mono">{spec.timing.value.expression}</div>
        ) : null}
      </td>
      <td className="nowrap">
        <Ago time={dueTime} />
      </td>
      <td className="nowrap">
        {last && tick ? (
          <>
            <Badge tone={tick.tone}>{tick.word}</Badge> <Ago time={last.tickTime} />
          </>
        ) : (
          <span className="muted">–</span>
        )}
      </td>
      <td>
        {spec?.task?.taskType}
        {spec?.task?.queue ? (
          <div className="small">
            <Link to="/queues/$name" params={{ name: spec.task.queue }}>
              {spec.task.queue}
            </Link>
          </div>
        ) : null}
      </td>
      <td className="end">
        <ScheduleActions schedule={schedule} />
      </td>
    </tr>
  );
}

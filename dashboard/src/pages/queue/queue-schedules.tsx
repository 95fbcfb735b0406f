/** The schedules that submit to a queue. */
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { schedules } from "../../data/schedules.ts";
import { Badge } from "../../ui/badge.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Table } from "../../ui/table.tsx";
import { Ago } from "../../ui/time.tsx";
import { scheduleLook, timingInWords } from "../schedules/timing.ts";

const SCHEDULES_MS = 10_000;
const MAX_SCHEDULES = 1_000;

/** Nothing where there is none. */
export function QueueSchedules({ queue }: { queue: string }): ReactNode {
  const query = useLive(
    ["schedules"],
    (options) => schedules.listSchedules({ pageSize: MAX_SCHEDULES }, options),
    SCHEDULES_MS,
  );
  const found = (query.data?.schedules ?? []).filter(
    ({ spec }) => (spec?.task?.queue || "default") === queue,
  );
  if (found.length === 0) return null;
  return (
    <Panel title="Schedules that submit to it" flush>
      <Table headings={["Schedule", "State", "When", "Next", "Task type"]}>
        {found.map(({ spec, state, dueTime }) => {
          const { word, tone } = scheduleLook(state);
          return (
            <tr key={spec?.name}>
              <td>
                <Link to="/schedules/$name" params={{ name: spec?.name ?? "" }}>
                  {spec?.name}
                </Link>
              </td>
              <td>
                <Badge tone={tone}>{word}</Badge>
              </td>
              <td>{spec ? timingInWords(spec) : ""}</td>
              <td className="nowrap">
                <Ago time={dueTime} />
              </td>
              <td>{spec?.task?.taskType}</td>
            </tr>
          );
        })}
      </Table>
    </Panel>
  );
}

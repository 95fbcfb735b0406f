/** Pauses, resumes and runs a schedule. */
import { type Schedule, ScheduleState } from "@muster/protocol";
import type { ReactNode } from "react";
import { schedules } from "../../data/schedules.ts";
import { Action } from "../../ui/action.tsx";

export function ScheduleActions({ schedule }: { schedule: Schedule }): ReactNode {
  const name = schedule.spec?.name ?? "";
  return (
    <>
      <Action
        key="run"
        label="Run now"
        title={`Run ${name} now`}
        consequence="Submits one task of it now, beside its ticks."
        asksReason={false}
        call={() => schedules.runSchedule({ name })}
      />
      {schedule.pauseTime ? (
        <Action
          key="resume"
          label="Resume"
          title={`Resume ${name}`}
          consequence="Its first tick is after now: those of the pause are not made up for."
          call={(reason) => schedules.resumeSchedule({ name, reason })}
        />
      ) : schedule.state === ScheduleState.ENDED ? null : (
        <Action
          key="pause"
          label="Pause"
          title={`Pause ${name}`}
          consequence="It submits nothing until it is resumed; its tasks continue."
          call={(reason) => schedules.pauseSchedule({ name, reason })}
        />
      )}
    </>
  );
}

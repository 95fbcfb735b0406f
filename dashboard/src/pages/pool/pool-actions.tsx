/** Pauses, resumes, scales and rolls back a pool. */
import { LaunchGuardState, type Pool, RolloutState } from "@muster/protocol";
import type { ReactNode } from "react";
import { pools } from "../../data/pools.ts";
import { Action } from "../../ui/action.tsx";
import { FieldsAction } from "../../ui/forms/fields-action.tsx";

/** Most workers of a pool. */
const MOST = 10_000;

/** @param brief In a list: only what pauses and resumes. */
export function PoolActions({ pool, brief = false }: { pool: Pool; brief?: boolean }): ReactNode {
  const { spec, pauseTime, launchGuard, rollout, templateVersion, deleteTime } = pool;
  const name = spec?.name ?? "";
  if (deleteTime) return null;
  const suspended = launchGuard !== undefined && launchGuard.state !== LaunchGuardState.CLOSED;
  const held = pauseTime || suspended || rollout?.state === RolloutState.PAUSED;
  return (
    <>
      {held ? (
        <Action
          key="resume"
          label="Resume"
          title={`Resume the pool ${name}`}
          consequence="Ends its pause, the suspension of its launches and the pause of its rollout: workers are launched as they are wanted."
          call={(reason) => pools.resumePool({ name, reason })}
        />
      ) : null}
      {pauseTime ? null : (
        <Action
          key="pause"
          label="Pause"
          title={`Pause the pool ${name}`}
          consequence="Nothing is launched or stopped until it is resumed; its workers continue."
          call={(reason) => pools.pausePool({ name, reason })}
        />
      )}
      {brief ? null : (
        <>
          <FieldsAction
            label="Scale"
            title={`Scale the pool ${name}`}
            consequence="Workers are launched and stopped to be within these bounds."
            fields={[
              {
                name: "min",
                label: "Least workers",
                value: String(spec?.minWorkers ?? 0),
                bounds: [0, MOST],
              },
              { name: "max", label: "Most workers", value: String(spec?.maxWorkers ?? 1), bounds: [1, MOST] },
            ]}
            call={({ min, max }, reason) =>
              pools.scalePool({ name, minWorkers: Number(min), maxWorkers: Number(max), reason })
            }
          />
          {templateVersion > 1n || rollout ? (
            <Action
              key="rollback"
              label="Roll back"
              title={`Roll back the pool ${name}`}
              consequence={
                rollout
                  ? "It takes the template again that all of its workers had before this rollout."
                  : "It takes the template before the present one again; workers are replaced one after the other."
              }
              danger
              call={(reason) => pools.rollBackPool({ name, reason })}
            />
          ) : null}
        </>
      )}
    </>
  );
}

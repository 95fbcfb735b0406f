/** The handlers of ScheduleService. */
import { NAME, NAME_RULE, REQUEST_ID, REQUEST_ID_RULE } from "@muster/common/text/name-forms";
import { quoted } from "@muster/common/text/text";
import type { ScheduleService } from "@muster/protocol";
import type { SizeLimits } from "../../dispatch/limits.ts";
import type { TickRunner } from "../../dispatch/schedules/tick-runner.ts";
import { formatTaskId } from "../../domain/ids.ts";
import { invalidRequest, scheduleNotFound, schedulerStopping } from "../../domain/refusals.ts";
import type { Schedule } from "../../domain/schedules/schedule.ts";
import type { Explainer } from "../../queries/explainer.ts";
import type { MaintenanceStore, ScheduleStore } from "../../store/store.ts";
import { fromExplanation } from "../convert/fleet/explanation.ts";
import { fromSchedule } from "../convert/schedules/schedule.ts";
import { specOf, toWantedSchedule } from "../convert/schedules/schedule-spec.ts";
import { fitPage } from "../convert/values/message-size.ts";
import { storable } from "../convert/values/text.ts";
import type { Handlers } from "../server/handlers.ts";
import { nameToken, pageSize, parseNameToken } from "./pages.ts";

/** Parts that ScheduleService uses. */
export interface ScheduleServiceParts {
  readonly store: ScheduleStore & Pick<MaintenanceStore, "databaseTime">;
  readonly ticks: Pick<TickRunner, "runNow">;
  readonly explainer: Pick<Explainer, "schedule">;
  /** A schedule was set, resumed or deleted: looks when the next one is due. */
  readonly schedulesChanged: () => void;
  readonly sizes: SizeLimits;
  /** About the largest message: a page ends before it. */
  readonly pageBytes: number;
  /** Aborts when the scheduler stops. */
  readonly stopping: AbortSignal;
}

/** Handlers of ScheduleService. */
export function scheduleService(parts: ScheduleServiceParts): Handlers<typeof ScheduleService> {
  const { store, ticks, explainer, schedulesChanged, sizes, pageBytes } = parts;
  const nowMs = async () => (await store.databaseTime()).getTime();
  const shown = async (schedule: Schedule) => fromSchedule(schedule, await nowMs());
  const changed = async (name: string, schedule: Schedule | undefined) => {
    if (!schedule) throw scheduleNotFound(name);
    schedulesChanged();
    return { schedule: await shown(schedule) };
  };
  return {
    async listSchedules(request) {
      const limit = pageSize(request.pageSize, 50);
      const afterName = parseNameToken(request.pageToken);
      const found = await store.listSchedules({ afterName, limit: limit + 1 });
      const now = await nowMs();
      const page = fitPage(found, limit, (schedule) => fromSchedule(schedule, now), pageBytes);
      return {
        schedules: page.items,
        nextPageToken: page.last && page.more ? nameToken(page.last.name) : "",
      };
    },

    async getSchedule({ name }) {
      const found = await store.getSchedule(storable(name, 256));
      if (!found) throw scheduleNotFound(name);
      const { schedule, template } = found;
      const open = await store.openTasks(schedule.taskIds);
      return { schedule: fromSchedule(schedule, await nowMs(), specOf(template), open) };
    },

    async explainSchedule({ name }) {
      const explanation = await explainer.schedule(storable(name, 256));
      if (!explanation) throw scheduleNotFound(name);
      return { explanation: fromExplanation(explanation) };
    },

    async setSchedule({ schedule: spec, reason }) {
      const { wanted, template } = toWantedSchedule(spec, sizes);
      const schedule = await store.setSchedule(wanted, template, reasonOf(reason));
      return changed(wanted.name, schedule);
    },

    async pauseSchedule({ name, reason }) {
      return changed(name, await store.pauseSchedule(requireName(name), reasonOf(reason)));
    },

    async resumeSchedule({ name, reason }) {
      return changed(name, await store.resumeSchedule(requireName(name), reasonOf(reason)));
    },

    async runSchedule({ name, requestId }) {
      if (parts.stopping.aborted) throw schedulerStopping("call");
      const { inserted, schedule } = await ticks.runNow(requireName(name), toRequestId(requestId));
      const { id, duplicate } = inserted;
      return { taskId: formatTaskId(id), schedule: await shown(schedule), duplicate };
    },

    async deleteSchedule({ name, reason }) {
      if (!(await store.deleteSchedule(requireName(name), reasonOf(reason)))) throw scheduleNotFound(name);
      schedulesChanged();
      return {};
    },
  };
}

function reasonOf(reason: string): string {
  return storable(reason, 1_024) || "asked by an operator";
}

function toRequestId(requestId: string): string | undefined {
  if (requestId === "") return undefined;
  if (REQUEST_ID.test(requestId)) return requestId;
  const description = `${quoted(requestId, 100)} is not a request id: it ${REQUEST_ID_RULE}`;
  throw invalidRequest({ field: "request_id", description });
}

function requireName(name: string): string {
  if (NAME.test(name)) return name;
  const description = `${quoted(name, 100)} is not the name of a schedule: it ${NAME_RULE}`;
  throw invalidRequest({ field: "name", description });
}

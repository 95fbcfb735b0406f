/** Drains workers whose machines are taken away by their cloud. */
import { drainMs, endsMachine, noticeInWords } from "../../domain/workers/launch.ts";
import type { LaunchReport, LaunchReported } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { TaskControl } from "../attempts/task-control.ts";

/** What notices work with. */
export interface MachineNoticeParts {
  readonly control: Pick<TaskControl, "drain">;
  readonly log: Logger;
}

/** Acts on the notices in the reports of supervisors. */
export class MachineNotices {
  readonly #parts: MachineNoticeParts;

  constructor(parts: MachineNoticeParts) {
    this.#parts = parts;
  }

  /**
   * Asks the worker of a report with a notice to drain in the time that is left; a repeated request changes nothing for a
   * worker that drains. Nothing for a report without a notice.
   *
   * @returns Whether the worker drains or was asked to.
   * @throws DatabaseUnavailableError
   */
  async apply(
    { launchId, workerId, facts, ageMs }: LaunchReport,
    { noticed, session }: Pick<LaunchReported, "noticed" | "session">,
  ): Promise<boolean> {
    const { control, log } = this.#parts;
    const { notice } = facts;
    if (!notice) return false;
    const leftMs = endsMachine(notice) ? notice.endAfterMs - ageMs : undefined;
    if (!noticed) {
      log.info("worker.machine_notice", {
        ...{ worker_id: workerId, launch_id: launchId, source: notice.source, notice: notice.event },
        ...(notice.detail ? { detail: notice.detail } : {}),
        ...(leftMs === undefined ? {} : { ends_in_ms: Math.round(leftMs) }),
      });
    }
    if (leftMs === undefined || !session) return false;
    if (!session.draining)
      await control.drain(session.id, noticeInWords(notice), Math.round(drainMs(leftMs)));
    return true;
  }
}

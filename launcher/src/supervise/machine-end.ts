/** Drains a supervised process whose machine is taken away by its cloud. */
import { formatDuration } from "@muster/common/text/duration-text";
import type { Clock } from "../clock.ts";
import type { Notice, NoticeListener } from "../notices/notice.ts";
import type { Launch } from "./launch.ts";
import type { SupervisorLog } from "./supervisor-log.ts";

/** The scheduler has this long to say that the worker drains; without an answer the process gets SIGTERM. */
const ANSWER_MS = 2_000;

/** Kept of the time that is left for the last report, or a tenth of a short time. */
const REPORT_MS = 2_000;

/** The process has at least this, also when the machine was to end before, milliseconds. */
const SHORTEST_MS = 3_000;

/** What a supervisor gives to it. */
export interface MachineEndParts {
  readonly clock: Clock;
  readonly log: SupervisorLog;
  /** The process that runs; undefined between two starts. */
  readonly current: () => Launch | undefined;
  /** The report of the process has changed. */
  readonly onChange: () => void;
  /** The machine ends: nothing is started on it any more. */
  readonly onEnd: () => void;
}

/** Receives the notices of the cloud for one supervisor. */
export class MachineEnd implements NoticeListener {
  readonly #parts: MachineEndParts;
  #cancelStop: (() => void) | undefined;

  constructor(parts: MachineEndParts) {
    this.#parts = parts;
  }

  notice(notice: Notice): void {
    const { clock, log, current, onChange, onEnd } = this.#parts;
    const { source, event, detail, endsInMs } = notice;
    log.write(
      endsInMs === undefined ? "info" : "warn",
      "launch.machine_notice",
      endsInMs === undefined
        ? `${source} advises to leave this machine (${event}); the worker goes on`
        : `${source} ends this machine in ${formatDuration(endsInMs)} (${event}): the worker drains`,
      {
        source,
        notice: event,
        detail,
        ...(endsInMs === undefined ? {} : { ends_in_ms: Math.round(endsInMs) }),
      },
    );
    const launch = current();
    launch?.noticed(notice);
    onChange();
    if (endsInMs === undefined) return;
    onEnd();
    if (!launch) return;
    // The scheduler sends the worker its deadline. What it does not drain is drained here, by the worker's own timeout.
    this.#cancelStop = clock.after(ANSWER_MS, () => this.answered(false));
    launch.child.endWithin(Math.max(SHORTEST_MS, endsInMs - Math.min(REPORT_MS, endsInMs / 10)));
  }

  /** The scheduler has received the notice. @param draining Whether it drains the worker. */
  answered(draining: boolean): void {
    if (!this.#cancelStop) return;
    this.#cancelStop();
    this.#cancelStop = undefined;
    if (!draining) this.#parts.current()?.stop("SIGTERM");
  }

  unreachable(message: string): void {
    this.#parts.log.write(
      "warn",
      "launch.notices_unreachable",
      `notices of the cloud cannot be read: ${message}; it is tried again`,
      { error: message },
    );
  }

  reachable(): void {
    this.#parts.log.write("info", "launch.notices_reachable", "notices of the cloud can be read again");
  }
}

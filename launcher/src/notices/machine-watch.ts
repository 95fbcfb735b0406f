/** Watches for the notice that the cloud takes away the machine of a launcher. */
import { formatDuration } from "@muster/common/text/duration-text";
import type { Clock } from "../clock.ts";
import type { LauncherLog } from "../launcher-log.ts";
import type { NoticeSettings } from "./notice.ts";
import { NoticeWatch } from "./notice-watch.ts";

/** A watch of the machine. */
export interface MachineWatch {
  /** Resolves when the endpoint was asked once, with whatever success. */
  readonly asked: Promise<void>;
  /** The cloud has said that the machine ends. */
  readonly ends: boolean;
  stop(): void;
}

/** Watches the machine of a launcher. @param onEnd Called once, when the cloud says that it ends. */
export function watchMachine(
  settings: NoticeSettings,
  clock: Clock,
  log: LauncherLog,
  onEnd: () => void,
): MachineWatch {
  let ends = false;
  const watch = NoticeWatch.of(settings, clock, {
    notice: ({ source, event, detail, endsInMs }) => {
      const fields = { source, notice: event, detail };
      if (endsInMs === undefined) {
        log.write(
          "info",
          "launcher.machine_notice",
          `${source} advises to leave this machine (${event})`,
          fields,
        );
        return;
      }
      ends = true;
      log.write(
        "warn",
        "launcher.machine_notice",
        `${source} ends this machine in ${formatDuration(endsInMs)} (${event}): its pools go to another launcher`,
        { ...fields, ends_in_ms: Math.round(endsInMs) },
      );
      onEnd();
    },
    unreachable: (error) =>
      log.write("warn", "launcher.notices_unreachable", `notices of the cloud cannot be read: ${error}`, {
        error,
      }),
    reachable: () =>
      log.write("info", "launcher.notices_reachable", "notices of the cloud can be read again"),
  });
  return {
    asked: watch.asked,
    get ends() {
      return ends;
    },
    stop: () => watch.stop(),
  };
}

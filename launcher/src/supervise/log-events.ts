/** The log events of `muster run` with their levels. docs/logs.md documents them; a test compares both. */
export const LOG_EVENTS = {
  "launch.ended": "info, error",
  "launch.log_file": "warn",
  "launch.machine_notice": "info, warn",
  "launch.notices_reachable": "info",
  "launch.notices_unreachable": "warn",
  "launch.report.dropped": "warn",
  "launch.report.failed": "warn",
  "launch.report.resumed": "info",
  "launch.report.undelivered": "error",
  "launch.reported": "info",
  "launch.started": "info",
  "launch.stopping": "info",
} as const;

/** An event of the catalogue; the compiler refuses others. */
export type LogEvent = keyof typeof LOG_EVENTS;

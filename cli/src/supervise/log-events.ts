/** Every event name of the log of `muster run` with its level, or levels; docs/logs.md says what they mean, and a test compares. */
export const LOG_EVENTS = {
  "launch.ended": "info, error",
  "launch.log_file": "warn",
  "launch.report.dropped": "warn",
  "launch.report.failed": "warn",
  "launch.report.resumed": "info",
  "launch.report.undelivered": "error",
  "launch.reported": "info",
  "launch.started": "info",
  "launch.stopping": "info",
} as const;

/** What may be logged: nothing that the catalogue lacks compiles. */
export type LogEvent = keyof typeof LOG_EVENTS;

/** The log events of `muster launcher` with their levels. docs/logs.md documents them; a test compares both. */
export const LAUNCHER_LOG_EVENTS = {
  "launcher.connected": "info",
  "launcher.disconnected": "warn",
  "launcher.driver_failed": "error",
  "launcher.engine_reached": "info",
  "launcher.engine_refused": "warn",
  "launcher.engine_unreachable": "error",
  "launcher.hook_failed": "error",
  "launcher.launch_delayed": "warn",
  "launcher.launch_refused": "error",
  "launcher.launched": "info",
  "launcher.machine_notice": "info, warn",
  "launcher.notices_reachable": "info",
  "launcher.notices_unreachable": "warn",
  "launcher.pools": "info",
  "launcher.reconnected": "info",
  "launcher.stop_delayed": "warn",
  "launcher.stop_hangs": "error",
  "launcher.stopping": "info",
} as const;

/** An event of the catalogue; the compiler refuses others. */
export type LauncherLogEvent = keyof typeof LAUNCHER_LOG_EVENTS;

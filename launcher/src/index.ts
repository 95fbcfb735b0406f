/** The launcher: serves pools with the drivers of `DRIVERS`. */
export type { Clock } from "./clock.ts";
export type { DriverContext, DriverName, LaunchDriver } from "./driver.ts";
export { DRIVER_NAMES, loadDriver } from "./drivers.ts";
export { Launcher } from "./launcher.ts";
export { type LauncherLog, launcherLog } from "./launcher-log.ts";
export { openLauncherState } from "./launcher-state.ts";
export { CLOUDS, type NoticeSettings } from "./notices/notice.ts";
export { noticeSettings } from "./notices/notice-settings.ts";
export { SetupError } from "./setup-error.ts";

/** The launcher: serves pools with the drivers of `DRIVERS`. */
export type { Clock } from "./clock.ts";
export type { DriverContext, DriverName, LaunchDriver } from "./driver.ts";
export { DRIVER_NAMES, loadDriver } from "./drivers.ts";
export { Launcher } from "./launcher.ts";
export { launcherLog } from "./launcher-log.ts";
export { openLauncherState } from "./launcher-state.ts";
export { SetupError } from "./setup-error.ts";

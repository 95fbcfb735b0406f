/** The drivers of `muster launcher`. */
import type { DriverContext, DriverName, LaunchDriver } from "./driver.ts";

/**
 * How each driver is loaded, by the name of its field in LaunchTemplate. Loaded when it is used: the libraries of some engines
 * are larger than all of Muster.
 */
const LOADERS: Readonly<Record<DriverName, (context: DriverContext) => Promise<LaunchDriver>>> = {
  process: async (context) => new (await import("./process/process-driver.ts")).ProcessDriver(context),
  docker: async (context) => new (await import("./docker/docker-driver.ts")).DockerDriver(context),
  kubernetes: async (context) =>
    (await import("./kubernetes/kubernetes-driver.ts")).makeKubernetesDriver(context),
  hook: async (context) => new (await import("./hook/hook-driver.ts")).HookDriver(context),
};

/** Their names. */
export const DRIVER_NAMES = Object.keys(LOADERS) as readonly DriverName[];

/** Makes a driver. */
export function loadDriver(name: DriverName, context: DriverContext): Promise<LaunchDriver> {
  return LOADERS[name](context);
}

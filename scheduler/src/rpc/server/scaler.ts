/** KEDA's ExternalScaler on the gRPC server; the first call of KEDA loads its code. */
import type { ExternalScalerParts } from "../keda/external-scaler.ts";
import type { Calls } from "./calls.ts";
import { addImported, type ServiceTarget } from "./deferred.ts";

/** Its name. */
export const SCALER_SERVICE = "externalscaler.ExternalScaler";

/** Its methods. */
export const SCALER_METHODS = [
  { name: "IsActive", responseStream: false },
  { name: "StreamIsActive", responseStream: true },
  { name: "GetMetricSpec", responseStream: false },
  { name: "GetMetrics", responseStream: false },
  { name: "StreamMetricSpec", responseStream: true },
].map(({ name, responseStream }) => ({
  path: `/${SCALER_SERVICE}/${name}`,
  requestStream: false as const,
  responseStream,
}));

/** Serves it. */
export function addExternalScaler(server: ServiceTarget, parts: ExternalScalerParts, calls: Calls): void {
  addImported(
    server,
    SCALER_METHODS,
    async () => {
      const { mountExternalScaler } = await import("../keda/external-scaler.ts");
      return (target) => mountExternalScaler(target, parts, calls);
    },
    calls,
  );
}

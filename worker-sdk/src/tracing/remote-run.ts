/** The context of a run whose span another process has. */
import { context } from "@opentelemetry/api";
import { registeredTracer } from "./provider.ts";
import { remoteContext } from "./remote-context.ts";

/** A function that calls `run` with that span as the active one; without an OpenTelemetry SDK it is `run`. */
export function withinRemote<T>(traceparent: string | undefined, run: () => T): () => T {
  if (traceparent === undefined || registeredTracer() === undefined) return run;
  return () => context.with(remoteContext(traceparent), run);
}

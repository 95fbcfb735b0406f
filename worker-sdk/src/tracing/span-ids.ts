/** The id generator for derived span ids. */
import { SpanIds } from "@muster/common/tracing/span-ids";

/**
 * Id generator of the process. The ids of a run's spans are those that the scheduler derives, the others are random.
 * `@muster/worker/otel` uses it; pass it as the `idGenerator` of an OpenTelemetry SDK that is set up otherwise.
 */
export const spanIds: SpanIds = new SpanIds();

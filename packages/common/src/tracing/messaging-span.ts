/** The semantic conventions that spans, metrics and resources of every package follow. */
export const SCHEMA_URL = "https://opentelemetry.io/schemas/1.45.0";

/** Value of `messaging.system.name`. */
const SYSTEM = "muster";

/** Kinds of messaging operations that have spans. */
export type OperationType = "send" | "process" | "settle";

/**
 * Name and attributes of the span of a messaging operation. Where its tasks have no queue in common, the name is that of
 * the operation alone. `messaging.system` is the attribute until version 1.44 of the conventions, and many backends
 * still search by it. The names are copied, as the authors of the conventions ask while they are not stable:
 * https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
 */
export function messagingSpan(operation: string, type: OperationType, queue: string | undefined) {
  return {
    name: queue === undefined ? operation : `${operation} ${queue}`,
    attributes: {
      "messaging.system.name": SYSTEM,
      "messaging.system": SYSTEM,
      "messaging.operation.name": operation,
      "messaging.operation.type": type,
      ...(queue === undefined ? {} : { "messaging.destination.name": queue }),
    },
  };
}

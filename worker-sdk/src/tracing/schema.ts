/** The semantic conventions that this package's spans, metrics and resource follow. */
export const SCHEMA_URL = "https://opentelemetry.io/schemas/1.45.0";

/** Kinds of messaging operations that have spans. */
type OperationType = "send" | "process";

/**
 * Name and attributes of the span of a messaging operation. Where its tasks have no queue in common, the name is that
 * of the operation alone. `messaging.system` is the attribute until version 1.44 of the conventions, and many
 * backends still search by it.
 */
export function messagingSpan(operation: string, type: OperationType, queue: string | undefined) {
  return {
    name: queue === undefined ? operation : `${operation} ${queue}`,
    attributes: {
      "messaging.system.name": "muster",
      "messaging.system": "muster",
      "messaging.operation.name": operation,
      "messaging.operation.type": type,
      ...(queue === undefined ? {} : { "messaging.destination.name": queue }),
    },
  };
}

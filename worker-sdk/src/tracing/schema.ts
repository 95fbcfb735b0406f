/** The semantic conventions that this package's spans, metrics and resource follow. */
export const SCHEMA_URL = "https://opentelemetry.io/schemas/1.45.0";

/** Kinds of messaging operations that spans tell of. */
type OperationType = "send" | "process";

/**
 * What a span of a messaging operation is called, and what it says of the operation. Where its tasks have no queue in
 * common, the name is the operation's alone. `messaging.system` is the name until version 1.44 of the conventions, by
 * which many backends still search.
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

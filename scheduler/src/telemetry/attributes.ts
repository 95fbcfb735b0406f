/**
 * Attributes of spans. The messaging conventions are copied, as their authors ask while they are not stable:
 * https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
 */
export const MESSAGING = {
  system: "messaging.system.name",
  /** Its name until version 1.44 of the conventions, by which many backends still search. */
  systemBefore: "messaging.system",
  operationName: "messaging.operation.name",
  operationType: "messaging.operation.type",
  destination: "messaging.destination.name",
  messageId: "messaging.message.id",
  batchCount: "messaging.batch.message_count",
  clientId: "messaging.client.id",
} as const;

/** Attributes of calls: https://opentelemetry.io/docs/specs/semconv/rpc/rpc-spans/ */
export const RPC = {
  system: "rpc.system.name",
  method: "rpc.method",
  status: "rpc.status_code",
  /** Its name until version 1.44 of the conventions. */
  statusBefore: "rpc.response.status_code",
} as const;

/** Attributes of our own. */
export const MUSTER = {
  queue: "muster.queue",
  taskId: "muster.task.id",
  taskType: "muster.task.type",
  attemptId: "muster.attempt.id",
  attemptNumber: "muster.attempt.number",
  /** `succeeded`, `cancelled`, a failure's code or `requeued:<reason>`. */
  outcome: "muster.attempt.outcome",
  workerId: "muster.worker.id",
  phase: "muster.phase",
  /** Reason code of docs/explanations.md that held for most of the wait. */
  waitReason: "muster.wait.reason",
  /** What a link leads to: `submit` or `previous_attempt`. */
  link: "muster.link",
  /** The scheduler's account of what the worker did not tell by itself. */
  reported: "muster.reported_by",
  /** Reason of a refusal, as in the answer's `google.rpc.ErrorInfo`. */
  reason: "muster.reason",
} as const;

/** The semantic conventions that spans, metrics and resource follow. */
export const SCHEMA_URL = "https://opentelemetry.io/schemas/1.45.0";

/** Value of `messaging.system.name`. */
const SYSTEM = "muster";

/** Kinds of messaging operations that spans tell of. */
type OperationType = "send" | "process" | "settle";

/**
 * What a span of a messaging operation is called, and what it says of the operation. Where its tasks have no queue in
 * common, the name is the operation's alone.
 */
export function messagingSpan(operation: string, type: OperationType, queue: string | undefined) {
  return {
    name: queue === undefined ? operation : `${operation} ${queue}`,
    attributes: {
      [MESSAGING.system]: SYSTEM,
      [MESSAGING.systemBefore]: SYSTEM,
      [MESSAGING.operationName]: operation,
      [MESSAGING.operationType]: type,
      ...(queue === undefined ? {} : { [MESSAGING.destination]: queue }),
    },
  };
}

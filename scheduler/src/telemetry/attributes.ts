/**
 * Attributes of spans. The messaging conventions are copied, as their authors ask while they are not stable:
 * https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
 */
export const MESSAGING = {
  system: "messaging.system",
  operationName: "messaging.operation.name",
  operationType: "messaging.operation.type",
  destination: "messaging.destination.name",
  messageId: "messaging.message.id",
  batchCount: "messaging.batch.message_count",
  bodySize: "messaging.message.body.size",
  clientId: "messaging.client.id",
} as const;

/** Attributes of our own. */
export const MUSTER = {
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
} as const;

/** The semantic conventions that spans, metrics and resource follow. */
export const SCHEMA_URL = "https://opentelemetry.io/schemas/1.41.0";

/** Value of `messaging.system`. */
export const SYSTEM = "muster";

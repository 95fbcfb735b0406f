/**
 * Attributes of spans. The messaging conventions are copied, as their authors ask while they are not stable:
 * https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
 */
export const MESSAGING = {
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
  /** Written by the scheduler for what the worker did not report. */
  reported: "muster.reported_by",
  /** Reason of a refusal, as in the answer's `google.rpc.ErrorInfo`. */
  reason: "muster.reason",
} as const;

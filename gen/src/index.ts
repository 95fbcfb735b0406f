/** The protocol of Muster: its messages, services and helpers. */
export * from "./constants.ts";
export { encodeFacts } from "./facts.ts";
export * from "./generated/google/rpc/error_details_pb.ts";
export * from "./generated/google/rpc/status_pb.ts";
export * from "./generated/muster/v1/batch_pb.ts";
export * from "./generated/muster/v1/checkpoint_pb.ts";
export * from "./generated/muster/v1/circuit_pb.ts";
export * from "./generated/muster/v1/concurrency_pb.ts";
export * from "./generated/muster/v1/dependency_pb.ts";
export * from "./generated/muster/v1/diagnosis_pb.ts";
export * from "./generated/muster/v1/event_pb.ts";
export * from "./generated/muster/v1/explanation_pb.ts";
export * from "./generated/muster/v1/failure_pb.ts";
export * from "./generated/muster/v1/fairness_pb.ts";
export * from "./generated/muster/v1/fleet_service_pb.ts";
export * from "./generated/muster/v1/handler_report_pb.ts";
export * from "./generated/muster/v1/history_pb.ts";
export * from "./generated/muster/v1/launcher_service_pb.ts";
export * from "./generated/muster/v1/overview_pb.ts";
export * from "./generated/muster/v1/pool_pb.ts";
export * from "./generated/muster/v1/pool_service_pb.ts";
export * from "./generated/muster/v1/queue_pb.ts";
export * from "./generated/muster/v1/rate_limit_pb.ts";
export * from "./generated/muster/v1/schedule_pb.ts";
export * from "./generated/muster/v1/schedule_service_pb.ts";
export * from "./generated/muster/v1/slot_pb.ts";
export * from "./generated/muster/v1/stack_pb.ts";
export * from "./generated/muster/v1/statistics_pb.ts";
export * from "./generated/muster/v1/step_pb.ts";
export * from "./generated/muster/v1/task_change_pb.ts";
export * from "./generated/muster/v1/task_log_pb.ts";
export * from "./generated/muster/v1/task_pb.ts";
export * from "./generated/muster/v1/task_service_pb.ts";
export * from "./generated/muster/v1/worker_pb.ts";
export * from "./generated/muster/v1/worker_service_pb.ts";
export * from "./grpc-definition.ts";
export { type Content, essence, isJson, readContent } from "./plain/content.ts";
export { parentOf, parentTag } from "./plain/parent-tag.ts";
export { type EnumName, type Plain, type PlainMessage, plain } from "./plain/plain.ts";
export {
  type PlainAttempt,
  type PlainContent,
  type PlainFailure,
  type PlainStep,
  type PlainTask,
  plainContent,
  plainTask,
  type ReadTaskContent,
  type TaskStateName,
} from "./plain/plain-task.ts";
export * from "./wire.ts";

/** Services of gRPC itself that the scheduler serves; apart from the index, because only reflection needs them. */
export { Health } from "./generated/grpc/health/v1/health_pb.ts";
export { ServerReflection as ServerReflectionV1 } from "./generated/grpc/reflection/v1/reflection_pb.ts";
export { ServerReflection as ServerReflectionV1Alpha } from "./generated/grpc/reflection/v1alpha/reflection_pb.ts";

/** KEDA's contract for external scalers; apart from the index, because few schedulers are asked by KEDA. */
export * from "./generated/externalscaler_pb.ts";

// A worker that was refused at registration, in protobuf.
import { create } from "@bufbuild/protobuf";
import {
  type Worker,
  type WorkerRefusal,
  WorkerRefusalSchema,
  WorkerSchema,
  WorkerState,
} from "@muster/protocol";
import type { RejectedWorker } from "../../../domain/workers/rejected-worker.ts";
import { timestampFromDate } from "../values/time.ts";

/** A worker that was refused and has no living process. @param rejections Its own, the latest first; at least one. */
export function fromRejectedWorker(rejections: readonly RejectedWorker[]): Worker {
  const [latest] = rejections;
  const claims = latest?.claims;
  return create(WorkerSchema, {
    id: latest?.workerId ?? "",
    state: WorkerState.REFUSED,
    pool: claims?.pool ?? "",
    taskTypes: claims?.types.map((taskType) => ({ taskType })) ?? [],
    sdk: claims?.sdk ?? "",
    ...(claims?.hostname ? { host: { hostname: claims.hostname, pid: claims.pid } } : {}),
    schedulerId: latest?.schedulerId ?? "",
    refusals: rejections.map(fromRejection),
  });
}

/** The worker with what was refused in its name. */
export function withRejections(worker: Worker, rejections: readonly RejectedWorker[]): Worker {
  return rejections.length === 0 ? worker : { ...worker, refusals: rejections.map(fromRejection) };
}

function fromRejection(rejection: RejectedWorker): WorkerRefusal {
  const { claims } = rejection;
  return create(WorkerRefusalSchema, {
    code: rejection.code,
    message: rejection.message,
    peer: rejection.peer,
    refusalCount: BigInt(rejection.count),
    firstTime: timestampFromDate(rejection.firstTime),
    lastTime: timestampFromDate(rejection.lastTime),
    workerProtocolVersion: claims.protocolVersion,
    schedulerProtocolVersion: rejection.schedulerProtocolVersion,
    sdk: claims.sdk,
    hostname: claims.hostname,
    pid: claims.pid,
    schedulerId: rejection.schedulerId,
  });
}

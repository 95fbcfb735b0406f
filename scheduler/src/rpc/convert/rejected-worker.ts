// A worker that was refused at registration, in protobuf.
import { create } from "@bufbuild/protobuf";
import {
  type Worker,
  type WorkerRefusal,
  WorkerRefusalSchema,
  WorkerSchema,
  WorkerState,
} from "@muster/protocol";
import type { RefusalRecord } from "../../domain/workers/rejected-worker.ts";
import { timestampFromDate } from "./time.ts";

/** A worker that was refused and has no living process. @param refusals Its own, the latest first; at least one. */
export function refusedWorker(refusals: readonly RefusalRecord[]): Worker {
  const [latest] = refusals;
  const claims = latest?.claims;
  return create(WorkerSchema, {
    id: latest?.workerId ?? "",
    state: WorkerState.REFUSED,
    pool: claims?.pool ?? "",
    taskTypes: claims?.types.map((taskType) => ({ taskType })) ?? [],
    sdk: claims?.sdk ?? "",
    ...(claims?.hostname ? { host: { hostname: claims.hostname, pid: claims.pid } } : {}),
    schedulerId: latest?.schedulerId ?? "",
    refusals: refusals.map(fromRefusal),
  });
}

/** The worker with what was refused in its name. */
export function withRefusals(worker: Worker, refusals: readonly RefusalRecord[]): Worker {
  return refusals.length === 0 ? worker : { ...worker, refusals: refusals.map(fromRefusal) };
}

function fromRefusal(refusal: RefusalRecord): WorkerRefusal {
  const { claims } = refusal;
  return create(WorkerRefusalSchema, {
    code: refusal.code,
    message: refusal.message,
    peer: refusal.peer,
    refusalCount: BigInt(refusal.count),
    firstTime: timestampFromDate(refusal.firstTime),
    lastTime: timestampFromDate(refusal.lastTime),
    workerProtocolVersion: claims.protocolVersion,
    schedulerProtocolVersion: refusal.schedulerProtocolVersion,
    sdk: claims.sdk,
    hostname: claims.hostname,
    pid: claims.pid,
    schedulerId: refusal.schedulerId,
  });
}

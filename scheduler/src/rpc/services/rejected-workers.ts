import { create } from "@bufbuild/protobuf";
import {
  type Worker,
  type WorkerRefusal,
  WorkerRefusalSchema,
  WorkerSchema,
  WorkerState,
} from "@muster/protocol";
import type { Explanation } from "../../domain/explain/reason.ts";
import { explainRefusals } from "../../domain/explain/refused.ts";
import type { RefusalRecord } from "../../domain/workers/rejected-worker.ts";
import { timestampFromDate } from "../convert/time.ts";
import { parsePageToken } from "./pages.ts";

/** Marks a token that goes on among the refused. */
const TOKEN_PREFIX = "refused:";

/** A worker that was sent away and has no living process. @param refusals Its own, the latest first; at least one. */
export function refusedWorker(refusals: readonly RefusalRecord[]): Worker {
  const [latest] = refusals;
  const claims = latest?.claims;
  return create(WorkerSchema, {
    id: latest?.workerId ?? "",
    state: WorkerState.REFUSED,
    pool: claims?.pool ?? "",
    types: claims?.types.map((type) => ({ type })) ?? [],
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

/** False for a peer that did not speak the protocol: a port scanner or a program under development. */
export function isWorker({ code }: RefusalRecord): boolean {
  return code === "BAD_TOKEN" || code === "VERSION_MISMATCH";
}

/** Refusals by worker id, each list the latest first. */
export function byWorker(refusals: readonly RefusalRecord[]): Map<string, RefusalRecord[]> {
  return Map.groupBy(refusals, ({ workerId }) => workerId);
}

/** Refused workers without a living process, by id, from the one after `afterId`. */
export function refusedPage(
  refusals: ReadonlyMap<string, readonly RefusalRecord[]>,
  filter: { pool: string; afterId: string; limit: number },
): { workers: Worker[]; nextPageToken: string } {
  const fitting = [...refusals]
    .filter(([id, [latest]]) => {
      const inPool = filter.pool === "" || latest?.claims.pool === filter.pool;
      return latest?.holder === "none" && inPool && id > filter.afterId;
    })
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const page = fitting.slice(0, filter.limit);
  const last = page.at(-1)?.[0];
  return {
    workers: page.map(([, list]) => refusedWorker(list)),
    nextPageToken: fitting.length > page.length ? refusedToken(last ?? filter.afterId) : "",
  };
}

/** Token of the page of refused workers after this id; of the first one for the empty id. */
export function refusedToken(afterId: string): string {
  return Buffer.from(`${TOKEN_PREFIX}${afterId}`).toString("base64url");
}

/** Where a listing of workers goes on. @throws Refusal `INVALID_PAGE_TOKEN`. */
export function parseWorkerToken(token: string): { beforeId: number | undefined } | { afterRefused: string } {
  const text = Buffer.from(token, "base64url").toString("utf8");
  if (text.startsWith(TOKEN_PREFIX)) return { afterRefused: text.slice(TOKEN_PREFIX.length) };
  return { beforeId: parsePageToken(token) };
}

/**
 * The explanation of a worker with what was refused in its name.
 *
 * @param explanation Of its newest session; undefined when it was never registered.
 * @param goneTime When that session ended; undefined while it lives.
 * @param now The database's clock.
 */
export function explainWithRefusals(
  workerId: string,
  explanation: Explanation | undefined,
  goneTime: Date | undefined,
  refusals: readonly RefusalRecord[],
  now: Date,
): Explanation {
  const refused = explainRefusals(refusals, now);
  if (!explanation) return { subject: workerId, state: "refused", reasons: refused };
  const [latest] = refusals;
  if (!latest) return explanation;
  if (latest.holder === "itself") return { ...explanation, reasons: [...refused, ...explanation.reasons] };
  // Of a worker that has ended and was sent away since, the door is the news.
  if (goneTime && latest.lastTime > goneTime)
    return { ...explanation, state: "refused", reasons: [...refused, ...explanation.reasons] };
  return { ...explanation, reasons: [...explanation.reasons, ...refused] };
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

/** Reasons of rejected workers, and their part in the reasons of waiting tasks. */
import type { RejectedWorker, RejectionCode } from "../../workers/rejected-worker.ts";
import type { ReasonCode } from "../codes.ts";
import { type Evidence, plural, type Reason, span } from "../reason.ts";

/** Older rejections do not explain why a task waits now. */
const RECENT_MS = 24 * 3_600_000;

/** Refused workers named in an explanation. */
const MAX_NAMED = 5;

/** Codes of waiting tasks that a rejected worker might have changed. */
const OPEN_TO_WORKERS: ReadonlySet<ReasonCode> = new Set(["NO_WORKERS", "NO_WORKER_FOR_TYPE"]);

const WORDS: Readonly<Record<RejectionCode, string>> = {
  BAD_TOKEN: "bad token",
  VERSION_MISMATCH: "protocol version not supported",
  INVALID_HELLO: "invalid hello",
  HELLO_TIMEOUT: "no hello",
};

const WHO: Readonly<Record<RejectedWorker["holder"], string>> = {
  none: "it",
  itself: "it lost its stream, dialled again and",
  another: "another process with its worker id",
};

const THEN: Readonly<Record<RejectedWorker["holder"], string>> = {
  none: "; a worker that was never registered exits with this error and does not dial again",
  itself:
    "; it was registered before, so it dials again, and keeps its attempts until lease and grace have expired",
  another: "; the registered process is not affected",
};

/** A rejection in two words. */
export function rejectionWords(code: RejectionCode): string {
  return WORDS[code];
}

/** Why streams with a worker's id were refused, the latest first. @param now The database's clock. */
export function explainRejections(rejected: readonly RejectedWorker[], now: Date): Reason[] {
  return rejected.map((rejection) => {
    const age = now.getTime() - rejection.lastTime.getTime();
    const often = `${plural(rejection.count, "time")}, last ${span(age)} ago from ${rejection.peer}`;
    return {
      code: rejection.code,
      summary: `${WHO[rejection.holder]} was refused ${often}: ${rejection.message}`,
      since: rejection.firstTime,
      evidence: evidence(rejection, age),
      remedy: `${remedyOf(rejection)}${THEN[rejection.holder]}`,
    };
  });
}

/** What to do about a rejection. */
export function remedyOf(rejection: RejectedWorker): string {
  const { code, claims, schedulerProtocolVersion: ours } = rejection;
  switch (code) {
    case "BAD_TOKEN":
      return "start the worker with MUSTER_TOKEN set to the token that the scheduler was started with";
    case "VERSION_MISMATCH":
      if (claims.protocolVersion < ours)
        return `upgrade the worker's SDK to a release that speaks protocol version ${ours}`;
      return `upgrade the scheduler to a release that speaks protocol version ${claims.protocolVersion}, or install an SDK that speaks version ${ours}`;
    case "INVALID_HELLO":
      return "fix what the message names in the worker's Hello; an SDK of Muster always sends a valid one";
    case "HELLO_TIMEOUT":
      return "check whether the process hangs, or whether another program dials this port: a worker sends its Hello first";
    default: {
      const unknown: never = code;
      throw new TypeError(`unknown rejection ${String(unknown)}`);
    }
  }
}

/**
 * The reasons of a waiting task, with the rejected workers that might have run it: those of any type when no worker is
 * connected, else those that declared its type.
 */
export function withRejected(
  reasons: readonly Reason[],
  task: { readonly type: string },
  rejected: readonly RejectedWorker[],
  now: Date,
): Reason[] {
  const recent = rejected.filter(
    ({ lastTime, holder }) => holder !== "another" && now.getTime() - lastTime.getTime() <= RECENT_MS,
  );
  return reasons.map((reason) => {
    if (!OPEN_TO_WORKERS.has(reason.code)) return reason;
    const related =
      reason.code === "NO_WORKERS" ? recent : recent.filter(({ claims }) => claims.types.includes(task.type));
    const [latest] = related;
    if (!latest) return reason;
    const workers = new Map(related.map((rejection) => [rejection.workerId, rejection]));
    const codes = [...new Set(related.map(({ code }) => rejectionWords(code)))].join(", ");
    const one = workers.size === 1;
    const named = [...workers.keys()].slice(0, MAX_NAMED).join(", ");
    const more = workers.size > MAX_NAMED ? ` and ${workers.size - MAX_NAMED} more` : "";
    return {
      ...reason,
      summary: `${reason.summary}; ${plural(workers.size, "worker", ["was", "were"])} refused (${codes}), the last ${span(now.getTime() - latest.lastTime.getTime())} ago: ${named}${more}`,
      evidence: [
        ...reason.evidence,
        ...[...workers.values()].slice(0, MAX_NAMED).map(({ workerId, code, count, peer, lastTime }) => ({
          key: "refused_worker",
          value: `${workerId} ${code} ${plural(count, "time")} from ${peer}`,
          source: "database",
          ageMs: now.getTime() - lastTime.getTime(),
        })),
      ],
      remedy: `correct what the refused ${one ? "worker sends" : "workers send"} (${remedyOf(latest)}; run \`muster why ${latest.workerId}\` for details), or ${reason.remedy}`,
    };
  });
}

function evidence(rejection: RejectedWorker, ageMs: number): Evidence[] {
  const { claims, count, peer, schedulerId, schedulerProtocolVersion } = rejection;
  const claimed = (key: string, value: string): Evidence[] =>
    value === "" ? [] : [{ key, value, source: "hello" }];
  return [
    { key: "message", value: rejection.message, source: "database", ageMs },
    { key: "registered_process", value: rejection.holder, source: "database" },
    { key: "refused_count", value: String(count), source: "database", ageMs },
    { key: "peer", value: peer, source: "database", ageMs },
    ...claimed("worker_protocol_version", claims.protocolVersion === 0 ? "" : String(claims.protocolVersion)),
    { key: "scheduler_protocol_version", value: String(schedulerProtocolVersion), source: "database" },
    { key: "scheduler", value: schedulerId, source: "database" },
    ...claimed("worker_sdk", claims.sdk),
    ...claimed("host", claims.hostname),
    ...claimed("pid", claims.pid === 0 ? "" : String(claims.pid)),
    ...claimed("types", claims.types.join(", ")),
  ];
}

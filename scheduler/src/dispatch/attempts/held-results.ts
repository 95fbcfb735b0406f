/** Results that the database did not take, and their next tries. */
import type { Clock } from "../../clock.ts";
import { mayBeOfRows, UnstorableError } from "../../domain/errors.ts";
import { formatAttemptId } from "../../domain/ids.ts";
import type { Failure } from "../../domain/tasks/outcome/failure.ts";
import type { CommitRequest, CommitResult } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import { isLogDue } from "../../telemetry/metrics/growing.ts";
import { sift } from "./writers/sift.ts";

/** Waits between tries, doubling up to the last, milliseconds. */
const FIRST_WAIT_MS = 200;
const LAST_WAIT_MS = 5_000;

/** Names in a log line. */
const MAX_NAMED = 20;

interface Held {
  request: CommitRequest;
  readonly resolve: (result: CommitResult) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Ends of attempts that the database refused in their batch. They are tried again for as long as it takes, together and
 * then one by one, while others go on. An end is changed only when the database names its values as what cannot be stored.
 */
export class HeldResults {
  readonly #write: (requests: readonly CommitRequest[]) => Promise<readonly CommitResult[]>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #stopping: AbortSignal;
  readonly #underWay = new Set<Promise<void>>();
  #wake = new AbortController();

  constructor(parts: {
    write: (requests: readonly CommitRequest[]) => Promise<readonly CommitResult[]>;
    clock: Clock;
    log: Logger;
    stopping: AbortSignal;
  }) {
    this.#write = parts.write;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#stopping = parts.stopping;
  }

  /** Takes them over; each promise is that of the request in its place. Rejected only when the scheduler stops. */
  hold(requests: readonly CommitRequest[], error: unknown): Promise<CommitResult>[] {
    const group: Held[] = [];
    const promises = requests.map(
      (request) => new Promise<CommitResult>((resolve, reject) => group.push({ request, resolve, reject })),
    );
    const done = this.#tryUntilTaken(group, error).then(() => void this.#underWay.delete(done));
    this.#underWay.add(done);
    return promises;
  }

  /** Tries now instead of after the wait: the cause may be gone. */
  tryNow(): void {
    this.#wake.abort();
    this.#wake = new AbortController();
  }

  /** Resolves when nothing is held. */
  async idle(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  async #tryUntilTaken(first: readonly Held[], firstError: unknown): Promise<void> {
    let group = [...first];
    let error = firstError;
    // A batch was tried just now, and one by one comes next; what came alone waits.
    let wait = group.length > 1 ? 0 : FIRST_WAIT_MS;
    for (let tries = 1; ; tries++) {
      if (this.#stopping.aborted) {
        for (const { reject } of group) reject(error);
        return;
      }
      if (isLogDue(tries)) {
        this.#log.error("results.held", {
          attempt_ids: group.slice(0, MAX_NAMED).map(({ request }) => formatAttemptId(request.key)),
          count: group.length,
          tries,
          next_try_ms: wait,
          error,
        });
      }
      await this.#clock.sleep(wait, AbortSignal.any([this.#stopping, this.#wake.signal]));
      wait = Math.min(Math.max(wait * 2, FIRST_WAIT_MS), LAST_WAIT_MS);
      const left = await this.#round(group, tries);
      if (left.group.length === 0) return;
      group = left.group;
      error = left.error;
    }
  }

  /** One try of all, then of each; answers what is left. */
  async #round(group: readonly Held[], tries: number): Promise<{ group: Held[]; error: unknown }> {
    const all = await this.#together(group);
    if (all === undefined) return { group: [], error: undefined };
    if (all.absent) return { group: [...group], error: all.error };
    const { taken, refused, error } = await sift(group, tries, async ({ request }) => {
      const [result] = await this.#write([request]);
      if (!result) throw new Error(`no answer for ${formatAttemptId(request.key)}`);
      return result;
    });
    for (const { row, result } of taken) row.resolve(result);
    for (const each of refused) this.#replaceIfUnstorable(each.row, each.error);
    const written = new Set(taken.map(({ row }) => row));
    return { group: group.filter((each) => !written.has(each)), error };
  }

  async #together(group: readonly Held[]): Promise<{ absent: boolean; error: unknown } | undefined> {
    if (group.length === 1) return { absent: false, error: undefined };
    try {
      const results = await this.#write(group.map(({ request }) => request));
      group.forEach(({ resolve, reject }, index) => {
        const result = results[index];
        if (result) resolve(result);
        else reject(new Error(`${group.length} ends were written and ${results.length} answered`));
      });
      return undefined;
    } catch (error) {
      return { absent: !mayBeOfRows(error), error };
    }
  }

  #replaceIfUnstorable(held: Held, error: unknown): void {
    const { request } = held;
    if (!(error instanceof UnstorableError) || isReplaced(request)) return;
    this.#log.error("result.not_storable", { attempt_id: formatAttemptId(request.key), error });
    held.request = unstorable(request);
  }
}

const UNSTORABLE = "INVALID_RESULT";

function isReplaced({ decision }: CommitRequest): boolean {
  return decision.kind === "finish" && decision.detail === UNSTORABLE;
}

/** Ends an attempt whose end the database cannot store. */
function unstorable({ key, acceptAgeMs, startAgeMs }: CommitRequest): CommitRequest {
  const failure: Failure = {
    failureClass: "non_retryable",
    code: UNSTORABLE,
    message: "the worker sent a result that cannot be stored; the scheduler's log has the cause",
  };
  return {
    key,
    acceptAgeMs,
    startAgeMs,
    decision: { kind: "finish", state: "failed", detail: UNSTORABLE, failure },
  };
}

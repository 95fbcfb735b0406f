/** The dispatcher's parts on a database, with workers that a test steps through. */
import { randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { systemClock } from "../../scheduler/src/clock.ts";
import { createDispatch, type Dispatch } from "../../scheduler/src/dispatch/dispatch.ts";
import type { OutgoingAssignment, WorkerLink } from "../../scheduler/src/dispatch/sessions/link.ts";
import type { Session } from "../../scheduler/src/dispatch/sessions/session.ts";
import { madeLink } from "../../scheduler/src/dispatch/testing/made-session.ts";
import { RecordingRule } from "../../scheduler/src/dispatch/testing/recording-rule.ts";
import type { AttemptKey } from "../../scheduler/src/domain/ids.ts";
import type { ConcurrencyKey } from "../../scheduler/src/domain/tasks/limits/concurrency.ts";
import type { Outcome } from "../../scheduler/src/domain/tasks/outcome/outcome.ts";
import type { Store } from "../../scheduler/src/store/store.ts";
import { silentLogger } from "../../scheduler/src/telemetry/logs/logger.ts";
import { noTracing } from "../../scheduler/src/telemetry/spans/tracing.ts";
import { newTask, sessionOpen } from "../store/fixture.ts";

const LEASES = { heartbeatMs: 1_000, leaseMs: 60_000, graceMs: 60_000, acceptDeadlineMs: 60_000 };
const WATCH = { stuckAfterMs: 60_000, unstartedAfterMs: 60_000, phasesMs: {} };

/** Longest wait for a change of a rule. */
const LIMIT_MS = 20_000;

/** What a test does before or after a claim of a dispatch under test. */
export type ClaimStep = <T>(claim: () => Promise<T>) => Promise<T>;

/** The dispatch of one scheduler, without its streams, on a real store, with a rule that counts. */
export class TestDispatch {
  readonly dispatch: Dispatch;
  readonly rule: RecordingRule;
  /** Wraps the next claim alone. */
  nextClaim: ClaimStep | undefined;
  readonly #keys: readonly ConcurrencyKey[] | undefined;
  readonly #pending = new Set<Promise<unknown>>();

  /** @param keys Concurrency keys of every task that is submitted here. */
  constructor(
    store: Store,
    schedulerId: string,
    limit = Number.POSITIVE_INFINITY,
    keys?: readonly ConcurrencyKey[],
  ) {
    this.#keys = keys;
    this.rule = new RecordingRule({ limit });
    const stepped = <T>(next: () => Promise<T>): Promise<T> => {
      const step = this.nextClaim;
      this.nextClaim = undefined;
      return step ? step(next) : next();
    };
    const claim: Store["claim"] = (...args) => stepped(() => store.claim(...args));
    const claimKeyed: Store["claimKeyed"] = (...args) => stepped(() => store.claimKeyed(...args));
    this.dispatch = createDispatch({
      store: this.#tracked({ ...store, claim, claimKeyed }),
      clock: systemClock,
      log: silentLogger,
      leases: LEASES,
      watch: WATCH,
      schedulerId,
      ageingMs: Number.POSITIVE_INFINITY,
      maxLabelSets: 10,
      intervals: { queueViewMs: 60_000, resourceMs: 60_000, resourceWarnMs: 60_000 },
      onScheduled: () => undefined,
      tracing: noTracing,
      rules: [this.rule],
    });
  }

  async submit(options: Parameters<typeof newTask>[0] = {}): Promise<number> {
    const [inserted] = await this.dispatch.submitter.submit([
      newTask({ concurrency: this.#keys, ...options }),
    ]);
    if (!inserted) throw new Error("the task was not inserted");
    return inserted.id;
  }

  /** Registers a worker, or registers it again when `uuid` is one that is known. */
  async connect(
    workerId: string,
    { uuid = randomUUID() as string, inFlight = [] as readonly AttemptKey[], slots = 4 } = {},
  ): Promise<TestWorker> {
    const worker = new TestWorker(this.dispatch, workerId, uuid);
    await worker.register(inFlight, slots);
    return worker;
  }

  /** Resolves when the rule's records satisfy the condition. */
  async until(condition: (rule: RecordingRule) => boolean): Promise<void> {
    const limit = AbortSignal.timeout(LIMIT_MS);
    while (!condition(this.rule)) await this.rule.changed(limit);
  }

  /** Tasks of the attempts that this scheduler's sessions hold. */
  get heldTasks(): readonly number[] {
    return [...this.dispatch.registry.all()]
      .flatMap(({ attempts }) => [...attempts.values()].map(({ taskId }) => taskId))
      .sort((a, b) => a - b);
  }

  /** Resolves when no statement is under way and none follows from the last one. */
  async idle(): Promise<void> {
    do {
      await Promise.all(this.#pending);
      await setImmediate();
    } while (this.#pending.size > 0);
  }

  /** Ends what is under way; nothing is assigned any more. */
  async stop(): Promise<void> {
    await this.dispatch.dispatcher.stop();
    await this.dispatch.committer.idle();
  }

  #tracked(store: Store): Store {
    return new Proxy(store, {
      get: (target, name, receiver) => {
        const method = Reflect.get(target, name, receiver);
        if (typeof method !== "function") return method;
        return (...args: unknown[]) => {
          const result = method.apply(target, args);
          if (!(result instanceof Promise)) return result;
          const settled = Promise.allSettled([result]).then(() => void this.#pending.delete(settled));
          this.#pending.add(settled);
          return result;
        };
      },
    });
  }
}

/** A worker's stream as the dispatch sees it. */
export class TestWorker {
  readonly uuid: string;
  readonly workerId: string;
  readonly #dispatch: Dispatch;
  readonly #received: OutgoingAssignment[] = [];
  #awaiting: ((assignment: OutgoingAssignment) => void)[] = [];
  #session: Session | undefined;
  readonly #link: WorkerLink;

  constructor(dispatch: Dispatch, workerId: string, uuid: string) {
    this.#dispatch = dispatch;
    this.workerId = workerId;
    this.uuid = uuid;
    this.#link = madeLink({
      assign: (assignments) => {
        for (const assignment of assignments) {
          const next = this.#awaiting.shift();
          if (next) next(assignment);
          else this.#received.push(assignment);
        }
      },
    });
  }

  get session(): Session {
    if (!this.#session) throw new Error(`${this.workerId} is not registered`);
    return this.#session;
  }

  async register(inFlight: readonly AttemptKey[], slots: number): Promise<void> {
    const open = sessionOpen(this.workerId, this.uuid);
    const registration = { ...open, hello: { ...open.hello, slots }, inFlight, lastError: "" };
    this.#session = (await this.#dispatch.registrar.register(registration, this.#link)).session;
    this.#dispatch.dispatcher.pump();
  }

  /** The next assignment that arrives, accepted. */
  async accept(): Promise<AttemptKey> {
    const { key } = await this.assigned();
    this.#dispatch.reportHandler.handleAccepted(this.session, [key]);
    return key;
  }

  /** The next assignment that arrives. */
  assigned(): Promise<OutgoingAssignment> {
    const first = this.#received.shift();
    if (first) return Promise.resolve(first);
    return new Promise((resolve) => this.#awaiting.push(resolve));
  }

  report(key: AttemptKey, outcome: Outcome): void {
    this.#dispatch.reportHandler.handleResults(this.session, [{ key, outcome, metrics: undefined }]);
  }

  /** Its stream ends without a goodbye. */
  drop(): Promise<void> {
    return this.#dispatch.liveness.streamEnded(this.session, this.#link, "the test ended it");
  }

  goodbye(): Promise<void> {
    return this.#dispatch.sessionReports.handleGoodbye(this.session, "done");
  }
}

/** The producer of a chaos run. */
import { setTimeout as delay } from "node:timers/promises";
import {
  type CircuitOptions,
  Client,
  type ConcurrencyKey,
  MusterError,
  type RateLimit,
} from "@muster/worker/client";
import type { Accepted } from "./checks/records.ts";
import { AHEAD_BYTES, CIRCUIT, LIMITS, RATE, RETRY, SCHEDULE, SOLE, STRICT } from "./limits.ts";
import { seededRandom } from "./schedule.ts";

interface Spec {
  readonly type: string;
  readonly payload: unknown;
  readonly uniqueKey: string;
  readonly retry: { readonly maxRetries: number; readonly delaysS: readonly number[] };
  readonly concurrency?: readonly ConcurrencyKey[];
  readonly rateLimits?: readonly RateLimit[];
  readonly cost?: { readonly gpu: number };
  readonly circuit?: CircuitOptions;
  readonly after?: readonly { readonly entry: number; readonly when: "succeeded" | "ended" }[];
}

/** Tasks with concurrency keys, among those that can succeed. */
const KEYED_SHARE = 0.15;

/**
 * Tasks with the circuit, among those that fail and those that can succeed. They are few, because only two a second get
 * through while it opens again and again.
 */
const CIRCUIT_SHARES = { hopeless: 0.1, work: 0.01 };

/** Tasks that take of the capacity, among those without keys. */
const COSTLY_SHARE = 0.2;

/** Those with a rate limit, among the others. */
const RATED_SHARE = 0.1;

/** Tasks of the type that one worker runs, among those without keys and limits. */
const SOLE_SHARE = 0.05;

/** Tasks that wait for one or two earlier ones of their submit. */
const DEPENDENT_SHARE = 0.2;

/** Submits with keys until told to stop; a refused or unanswered submit is tried again with the same keys. */
export class Producer {
  readonly accepted: Accepted[] = [];
  /** Submits that were answered with an error and tried again. */
  retries = 0;
  /** While true nothing new is submitted: what waits is deep enough. */
  held = false;
  readonly #client: Client;
  readonly #random: () => number;
  readonly #stopping = new AbortController();
  #done: Promise<void> = Promise.resolve();
  #serial = 0;

  constructor(addresses: readonly string[], seed: number) {
    this.#client = new Client({ scheduler: addresses.join(",") });
    this.#random = seededRandom(seed ^ 0x5eed);
  }

  start(lanes: number): void {
    const { name, ...options } = SCHEDULE;
    const work = [
      this.#insist(() => this.#client.schedules.set(name, { ...options, retry: RETRY })),
      ...Array.from({ length: lanes }, () => this.#lane()),
    ];
    this.#done = Promise.all(work).then(() => undefined);
  }

  /** Ends after the submits under way are answered. The schedule has no tick afterwards. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#done;
    await this.#insist(() => this.#client.schedules.pause(SCHEDULE.name, "the run is over"));
    this.#client.close();
  }

  /** Makes a call whose repetition changes nothing until it is answered. */
  async #insist(call: () => Promise<unknown>): Promise<void> {
    for (;;) {
      try {
        await call();
        return;
      } catch (error) {
        if (!(error instanceof MusterError)) throw error;
        await delay(100);
      }
    }
  }

  async #lane(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      if (this.held) {
        await delay(100);
        continue;
      }
      const count = 1 + Math.floor(this.#random() ** 3 * 40);
      const specs = Array.from({ length: count }, (_, position) => ({
        ...this.#spec(),
        ...this.#after(position),
      }));
      await this.#submit(specs);
      await delay(20 + this.#random() * 500);
    }
  }

  async #submit(specs: readonly Spec[]): Promise<void> {
    for (;;) {
      try {
        // Also a task that has failed or was cancelled: a submit without an answer is repeated until there is one.
        const handles = await this.#client.submitMany(
          specs.map(({ uniqueKey: key, ...spec }) => ({ ...spec, unique: { key, while: "recorded" } })),
        );
        handles.forEach(({ id }, index) => {
          const spec = specs[index];
          if (!spec) return;
          const limited = spec.concurrency?.map(({ key }) => key) ?? [];
          const after = (spec.after ?? []).map(({ entry, when }) => ({
            taskId: handles[entry]?.id ?? "",
            success: when === "succeeded",
          }));
          this.accepted.push({ key: spec.uniqueKey, taskId: id, type: spec.type, limited, after });
        });
        return;
      } catch (error) {
        if (!(error instanceof MusterError)) throw error;
        this.retries++;
        await delay(100);
      }
    }
  }

  /** The next task of the seeded sequence. */
  #spec(): Spec {
    const ticket = this.#random();
    const uniqueKey = `chaos-${++this.#serial}`;
    const share = ticket < 0.05 ? CIRCUIT_SHARES.hopeless : CIRCUIT_SHARES.work;
    const circuit = this.#random() < share ? { circuit: CIRCUIT } : {};
    if (ticket < 0.05) return { type: "hopeless", payload: {}, uniqueKey, retry: RETRY, ...circuit };
    const ms = Math.round(this.#random() ** 6 * 3_000);
    const failures = ticket < 0.15 ? 1 + Math.floor(this.#random() * 2) : 0;
    const pad = "x".repeat(this.#random() ** 4 * AHEAD_BYTES);
    const payload = { ms, failures, pad };
    const spec = { type: "work", payload, uniqueKey, retry: RETRY, ...circuit };
    if (this.#random() < KEYED_SHARE)
      return { ...spec, payload: { ...payload, ms: ms % 50 }, concurrency: this.#keys() };
    if (this.#random() < RATED_SHARE)
      return { ...spec, payload: { ...payload, ms: ms % 50 }, rateLimits: [RATE] };
    if (this.#random() < SOLE_SHARE)
      return { ...spec, type: SOLE.type, payload: { ...payload, ms: ms % 50 } };
    if (this.#random() >= COSTLY_SHARE) return spec;
    const gpu = 1 + Math.floor(this.#random() * 3);
    return { ...spec, payload: { ...payload, ms: ms % 500, gpu }, cost: { gpu } };
  }

  /** What a task at this position waits for. */
  #after(position: number): Pick<Spec, "after"> {
    if (position === 0 || this.#random() >= DEPENDENT_SHARE) return {};
    const entries = new Set([0, 0].map(() => Math.floor(this.#random() * position)));
    const when = () => (this.#random() < 0.7 ? ("succeeded" as const) : ("ended" as const));
    return { after: Array.from(entries, (entry) => ({ entry, when: when() })) };
  }

  /** One key, or several. */
  #keys(): ConcurrencyKey[] {
    // Behind a task with a strict order others wait for whatever it waits for: one such key is enough.
    const strict = [...STRICT].filter(() => this.#random() < 0.15).slice(0, 1);
    const free = Object.keys(LIMITS).filter((key) => !STRICT.has(key) && this.#random() < 0.4);
    const chosen = [...free, ...strict];
    return (chosen.length > 0 ? chosen : ["chaos-c"]).map((key) => ({
      ...{ key, limit: LIMITS[key] ?? 1 },
      ...(STRICT.has(key) ? { order: "strict" } : {}),
    }));
  }
}

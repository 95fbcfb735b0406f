/** What a handler measures and notes, and its way to the scheduler. */
import { type Facts, type FactValue, withFact } from "@muster/common/facts";
import { PHASE_NAME } from "@muster/common/text/name-forms";
import { cutWellFormed } from "@muster/common/text/text";
import type { TaskLog } from "../../logging/logger.ts";
import type { AttemptHost } from "../attempt-host.ts";
import type { Deadline } from "../deadlines.ts";

/** Most metrics of an attempt (a limit of the protocol). */
const MAX_METRICS = 32;

/** Shortest time between two reports when only sums have grown: the scheduler writes each one to its database. */
const SUMS_INTERVAL_MS = 1_000;

/** The same when a fact has changed: it says what a handler did before its process died. */
const FACTS_INTERVAL_MS = 100;

const NAME_RULE = `its name must match ${PHASE_NAME.source}`;

/** Refusals of an attempt that are logged. */
const MAX_LOGGED = 10;

/** The parts of an attempt's host that reports need. */
export interface ReportsHost {
  readonly clock: Pick<AttemptHost["clock"], "monotonicMs">;
  readonly deadlines: Pick<AttemptHost["deadlines"], "add" | "remove">;
  readonly link: Pick<AttemptHost["link"], "send" | "flush">;
}

/** The measurements and facts of one attempt; made at the first one. Never throws: a measurement must not fail the work. */
export class HandlerReports {
  readonly #attempt: { readonly id: string; readonly ownLog: Pick<TaskLog, "warn"> };
  readonly #host: ReportsHost;
  readonly #sums = new Map<string, number>();
  readonly #refused = new Set<string>();
  #facts: Facts = {};
  #unsent = false;
  #sentMs = Number.NEGATIVE_INFINITY;
  #deadline: Deadline | undefined;

  constructor(attempt: { readonly id: string; readonly ownLog: Pick<TaskLog, "warn"> }, host: ReportsHost) {
    this.#attempt = attempt;
    this.#host = host;
  }

  /** For the failure of the attempt. */
  get facts(): Facts {
    return this.#facts;
  }

  /** Adds to a sum. */
  add(name: string, amount: number): void {
    const before = this.#sums.get(name);
    const fault = this.#faultOf(name, amount, before);
    if (fault !== undefined) return this.#refuse("metric", name, fault);
    const sum = (before ?? 0) + amount;
    this.#sums.set(name, sum);
    if (before !== sum) this.#reportWithin(SUMS_INTERVAL_MS);
  }

  /** Notes a fact. */
  note(name: string, value: FactValue): void {
    if (typeof name !== "string") return this.#refuse("fact", name, NAME_RULE);
    const added = withFact(this.#facts, name, value);
    if ("fault" in added) return this.#refuse("fact", name, added.fault);
    this.#facts = added.facts;
    this.#reportWithin(FACTS_INTERVAL_MS);
  }

  /** Sends what is not sent: the handler has ended. */
  close(): void {
    this.#send();
  }

  #reportWithin(intervalMs: number): void {
    this.#unsent = true;
    const waitMs = this.#sentMs + intervalMs - this.#host.clock.monotonicMs();
    if (waitMs <= 0) {
      this.#send();
      // A handler that computes without a pause blocks the loop, which would otherwise post this.
      this.#host.link.flush();
      return;
    }
    if (this.#deadline !== undefined && intervalMs === SUMS_INTERVAL_MS) return;
    // A fact waits less than the sums before it.
    this.#host.deadlines.remove(this.#deadline);
    this.#deadline = this.#host.deadlines.add(waitMs, () => this.#send());
  }

  #send(): void {
    this.#host.deadlines.remove(this.#deadline);
    this.#deadline = undefined;
    if (!this.#unsent) return;
    this.#unsent = false;
    this.#sentMs = this.#host.clock.monotonicMs();
    this.#host.link.send({
      kind: "handlerReport",
      attemptId: this.#attempt.id,
      metrics: Object.fromEntries(this.#sums),
      facts: this.#facts,
    });
  }

  /** JavaScript code passes anything. */
  #faultOf(name: unknown, amount: unknown, before: number | undefined): string | undefined {
    if (typeof name !== "string" || !PHASE_NAME.test(name)) return NAME_RULE;
    if (typeof amount !== "number") return `its amount is a ${typeof amount}, not a number`;
    if (!(amount >= 0)) return `its amount is ${amount}; it must be 0 or more`;
    if ((before ?? 0) + amount > Number.MAX_SAFE_INTEGER)
      return `its sum with ${amount} would be above 2^53 - 1; give it in a larger unit`;
    if (before === undefined && this.#sums.size >= MAX_METRICS)
      return `an attempt has at most ${MAX_METRICS} metrics`;
    return undefined;
  }

  #refuse(kind: "metric" | "fact", name: unknown, reason: string): void {
    const shown = typeof name === "string" ? cutWellFormed(name, 64) : `(a ${typeof name})`;
    const key = `${kind} ${shown}`;
    if (this.#refused.has(key) || this.#refused.size >= MAX_LOGGED) return;
    this.#refused.add(key);
    const fields = { event: "task.measure.refused", kind, name: shown, reason };
    this.#attempt.ownLog.warn(fields, `the ${kind} "${shown}" is not kept: ${reason}`);
  }
}

/** Explains from the memory of this scheduler, while the database is away. */
import type { DatabaseUnavailableError } from "../../domain/errors.ts";
import { heldMeanwhile, type Outage } from "../../domain/explain/outage.ts";
import type { Explanation, Reason } from "../../domain/explain/reason.ts";
import { explainLiving } from "../../domain/explain/workers/worker.ts";
import { formatTaskId } from "../../domain/ids.ts";
import type { ExplainerParts } from "./explainer-parts.ts";

export class MemoryExplainer {
  readonly #parts: ExplainerParts;

  constructor(parts: ExplainerParts) {
    this.#parts = parts;
  }

  /** Since when the database is away, and what runs meanwhile. */
  outage(error: DatabaseUnavailableError): Outage {
    const { database, clock, registry, classes } = this.#parts;
    const { outage } = database;
    const awayMs = outage?.awayMs ?? 0;
    const sessions = [...registry.all()];
    return {
      since: new Date(clock.now() - awayMs),
      awayMs,
      error: outage?.error ?? error.message,
      condition: outage?.condition ?? error.condition,
      lock: outage?.lock,
      runningCount: sessions.reduce((sum, { attempts }) => sum + attempts.size, 0),
      workerCount: sessions.filter(({ link }) => link !== undefined).length,
      waitingCount: [...classes.all()].reduce((sum, { window }) => sum + window.size, 0),
    };
  }

  task(id: number, outage: Reason): Explanation {
    const subject = formatTaskId(id);
    for (const member of this.#parts.fleet.own(this.#wallNow)) {
      const held = member.held.find(({ attemptId }) => attemptId.startsWith(`${subject}.`));
      if (!held) continue;
      const reasons = [outage, heldMeanwhile(held, member.candidate.workerId)];
      return { subject, state: "running", reasons };
    }
    const { admission, classes } = this.#parts;
    const waits = admission.isHeld(id) || [...classes.all()].some(({ window }) => window.has(id));
    if (!waits) return { subject, state: "unknown", reasons: [outage] };
    return { subject, state: "queued", reasons: [outage] };
  }

  worker(id: string, outage: Reason): Explanation {
    const member = this.#parts.fleet.ownByName(id, this.#wallNow);
    if (!member) return { subject: id, state: "unknown", reasons: [outage] };
    const living = explainLiving(member, [], this.#wallNow);
    // The backlog is unknown now, and so is the reason of an idle worker.
    const reasons = [outage, ...living.filter(({ code }) => !code.startsWith("IDLE_"))];
    return { subject: member.candidate.workerId, state: member.state, reasons };
  }

  queue(name: string, outage: Reason): Explanation {
    const state = this.#parts.pausedQueues.isPaused(name) ? "paused" : "unknown";
    return { subject: `queue:${name}`, state, reasons: [outage] };
  }

  get #wallNow(): Date {
    return new Date(this.#parts.clock.now());
  }
}

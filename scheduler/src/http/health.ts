import type { Clock } from "../clock.ts";
import type { DatabaseWatch } from "../loops/database-watch.ts";
import type { Loop } from "../loops/loop.ts";

/** A loop that has not run for this many of its intervals, and at least this long, is dead or starved. */
const LATE_INTERVALS = 3;
const LATE_AT_LEAST_MS = 10_000;

/** What a probe answers. */
export interface HealthReport {
  readonly ok: boolean;
  readonly checks: Readonly<Record<string, { readonly ok: boolean; readonly detail: string }>>;
}

/** Liveness: the loops turn. Readiness: the database answers and nobody asked for a stop. */
export class Health {
  readonly #database: DatabaseWatch;
  readonly #loops: readonly Loop[];
  readonly #clock: Clock;
  readonly #startedAt: number;
  readonly #stopping: AbortSignal;

  constructor(parts: {
    database: DatabaseWatch;
    loops: readonly Loop[];
    clock: Clock;
    stopping: AbortSignal;
  }) {
    this.#database = parts.database;
    this.#loops = parts.loops;
    this.#clock = parts.clock;
    this.#stopping = parts.stopping;
    this.#startedAt = parts.clock.monotonic();
  }

  async live(): Promise<HealthReport> {
    const now = this.#clock.monotonic();
    const checks = this.#loops.map((loop) => {
      const age = now - (loop.lastRunAt ?? this.#startedAt);
      const allowed = Math.max(LATE_AT_LEAST_MS, loop.intervalMs * LATE_INTERVALS);
      // A loop that fails because the database is away is alive; readiness tells of that.
      const ok = age <= allowed || loop.lastError !== undefined;
      return [`loop:${loop.name}`, { ok, detail: `last ran ${Math.round(age)} ms ago` }] as const;
    });
    return report(checks);
  }

  async ready(): Promise<HealthReport> {
    return report([
      ["database", await this.#checkDatabase()],
      [
        "stopping",
        this.#stopping.aborted
          ? { ok: false, detail: "the scheduler is stopping" }
          : { ok: true, detail: "the scheduler takes work" },
      ],
    ]);
  }

  async #checkDatabase(): Promise<{ ok: boolean; detail: string }> {
    await this.#database.runOnce();
    const why = this.#database.unavailable;
    return why === undefined
      ? { ok: true, detail: "answers and takes writes" }
      : { ok: false, detail: `DATABASE_UNAVAILABLE: ${why}` };
  }
}

function report(checks: readonly (readonly [string, { ok: boolean; detail: string }])[]): HealthReport {
  return { ok: checks.every(([, { ok }]) => ok), checks: Object.fromEntries(checks) };
}

/** `/livez` and `/readyz`. */
import type { Clock } from "../clock.ts";
import type { DatabaseAvailability } from "../domain/database/availability.ts";

/** A loop that has not run for this many of its intervals is dead or starved. */
const LATE_INTERVALS = 3;

/** But not before this: a run that waits for a hung database fails after 20 s at most, and a failed run counts. */
const LATE_AT_LEAST_MS = 30_000;

/** Notifications may be missing for this long: polling finds the work, and a reconnect takes a second. */
const DEAF_FOR_MS = 10_000;

/** Interval of reading the schema; probes come more often. */
const SCHEMA_EVERY_MS = 5_000;

/** Outcome of one check. */
export interface HealthCheck {
  readonly ok: boolean;
  readonly detail: string;
}

/** What a probe answers. */
export interface HealthReport {
  readonly ok: boolean;
  /** Names of the checks that failed. */
  readonly failed: readonly string[];
  readonly checks: Readonly<Record<string, HealthCheck>>;
}

/** When a periodic service last ran. */
export interface LoopTicks {
  readonly name: string;
  readonly intervalMs: number;
  /** End of its last run, failed or not, monotonic milliseconds; undefined before the first. */
  readonly lastTickAt: number | undefined;
  /** Error of the last run; undefined when it did not fail. */
  readonly lastError: unknown;
}

/** What the checks read. */
export interface HealthParts {
  readonly database: Pick<DatabaseAvailability, "runOnce" | "unavailable">;
  readonly loops: readonly LoopTicks[];
  readonly clock: Pick<Clock, "monotonic">;
  readonly stopping: AbortSignal;
  /** Addresses that are listened on, by name; undefined until they are. */
  readonly listeners: () => Readonly<Record<"grpc" | "http", string | undefined>>;
  /** True while notifications arrive. */
  readonly listening: () => boolean;
  /** Migrations that the database lacks. */
  readonly missingMigrations: () => Promise<readonly string[]>;
}

/**
 * Liveness: the loops run, whatever the state of the database. Readiness: the database answers and has the schema,
 * every port listens, and no stop was requested.
 */
export class Health {
  readonly #parts: HealthParts;
  readonly #startedAt: number;
  #deafSince: number | undefined;
  #schema: HealthCheck = { ok: true, detail: "brought up to date at the start" };
  #schemaAt: number;

  constructor(parts: HealthParts) {
    this.#parts = parts;
    this.#startedAt = parts.clock.monotonic();
    this.#schemaAt = this.#startedAt;
  }

  live(): HealthReport {
    const now = this.#parts.clock.monotonic();
    return report(
      this.#parts.loops.map((loop) => {
        const age = now - (loop.lastTickAt ?? this.#startedAt);
        const allowed = Math.max(LATE_AT_LEAST_MS, loop.intervalMs * LATE_INTERVALS);
        const failing = loop.lastError === undefined ? "" : "; its last run failed";
        const detail = `last came round ${Math.round(age)} ms ago, at most ${allowed} ms allowed${failing}`;
        return [`loop:${loop.name}`, { ok: age <= allowed, detail }];
      }),
    );
  }

  /** Probes the database first. */
  async ready(): Promise<HealthReport> {
    const { database } = this.#parts;
    await database.runOnce();
    if (database.unavailable === undefined) await this.#readSchema();
    return this.readyAsKnown();
  }

  /** By the last probes. */
  readyAsKnown(): HealthReport {
    const { database, stopping, listeners } = this.#parts;
    const why = database.unavailable;
    const bound = listeners();
    const listener = (address: string | undefined): HealthCheck =>
      address === undefined
        ? { ok: false, detail: "does not listen yet" }
        : { ok: true, detail: `listens on ${address}` };
    return report([
      [
        "database",
        why === undefined
          ? { ok: true, detail: "answers and takes writes" }
          : { ok: false, detail: `DATABASE_UNAVAILABLE: ${why}` },
      ],
      ["migrations", this.#schema],
      ["notifications", this.#notifications()],
      ["grpc", listener(bound.grpc)],
      ["http", listener(bound.http)],
      [
        "stopping",
        stopping.aborted
          ? { ok: false, detail: "the scheduler is stopping" }
          : { ok: true, detail: "the scheduler takes work" },
      ],
    ]);
  }

  #notifications(): HealthCheck {
    const { clock, listening } = this.#parts;
    if (listening()) {
      this.#deafSince = undefined;
      return { ok: true, detail: "arrive" };
    }
    const now = clock.monotonic();
    this.#deafSince ??= now;
    const deafFor = now - this.#deafSince;
    return {
      ok: deafFor < DEAF_FOR_MS,
      detail: `have not arrived for ${Math.round(deafFor)} ms: the connection that listens is being made again`,
    };
  }

  async #readSchema(): Promise<void> {
    const { clock, missingMigrations } = this.#parts;
    const now = clock.monotonic();
    if (now - this.#schemaAt < SCHEMA_EVERY_MS) return;
    this.#schemaAt = now;
    try {
      const missing = await missingMigrations();
      this.#schema =
        missing.length === 0
          ? { ok: true, detail: "the schema is this program's" }
          : {
              ok: false,
              detail: `the database lacks ${missing.join(", ")}: run muster migrate, or restart the scheduler`,
            };
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      this.#schema = { ok: false, detail: `the schema cannot be read: ${what}` };
    }
  }
}

function report(checks: readonly (readonly [string, HealthCheck])[]): HealthReport {
  const failed = checks.filter(([, { ok }]) => !ok).map(([name]) => name);
  return { ok: failed.length === 0, failed, checks: Object.fromEntries(checks) };
}

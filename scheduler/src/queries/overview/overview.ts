// Reads the state of the fleet for `muster top`: counts, and the queues, workers and tasks that need attention.
import type { Clock } from "../../clock.ts";
import type { ClassIndex } from "../../dispatch/matching/class-index.ts";
import type { PoolController } from "../../dispatch/pools/pool-controller.ts";
import { plural, span } from "../../domain/explain/reason.ts";
import { rejectionWords } from "../../domain/explain/workers/rejected.ts";
import type { TaskClass } from "../../domain/matching/match.ts";
import { RecentCompletions } from "../../domain/recent-completions.ts";
import type { TaskLine, WorkerLine } from "../../domain/reports.ts";
import { RECENT_MS } from "../../domain/workers/completions.ts";
import { quarantineInWords } from "../../domain/workers/quarantine.ts";
import type { RejectedWorker } from "../../domain/workers/rejected-worker.ts";
import { hasRegistered, LOOP_BLOCKED_MS } from "../../domain/workers/worker.ts";
import type { LaunchStore, SchedulerStore, StatisticsStore } from "../../store/store.ts";
import { type FleetFacts, type FleetFactsStore, readFleet } from "../explainers/fleet-facts.ts";
import { type HoldOverview, type HoldStore, readHolds } from "./hold-lines.ts";
import { failedStartLine, startingLine, type WorkerOverview } from "./launch-lines.ts";
import { type QueueOverview, queueOverviews } from "./queue-overviews.ts";

/** Most entries of a list; every read takes this many, and each caller gets a part. */
const MAX_LIMIT = 100;

/** Callers within this time get the same answer; a slow read is repeated after five times its duration. */
const FRESH_MS = 500;
const FRESH_READS = 5;

/** Failed starts are listed for this long. */
const FAILED_START_MS = 3_600_000;

/** Rejected workers are listed for this long. */
const REFUSED_MS = 3_600_000;

/** How bad a state of a worker is: those that need attention come first. */
const RANKS: Readonly<Partial<Record<WorkerLine["state"], number>>> = {
  suspect: 0,
  lost: 1,
  gone: 1,
  refused: 2,
};

/** The fleet in one answer. */
export interface Overview {
  readonly schedulerId: string;
  readonly schedulerVersion: string;
  /** Living schedulers on this database. */
  readonly schedulers: number;
  /** The database's clock. */
  readonly readTime: Date;
  readonly workerStates: ReadonlyMap<WorkerLine["state"], number>;
  readonly slots: number;
  readonly activeSlots: number;
  readonly ready: number;
  readonly scheduled: number;
  readonly active: number;
  readonly stuckTasks: number;
  readonly recentFailures: number;
  readonly queueCount: number;
  readonly queues: readonly QueueOverview[];
  readonly workers: readonly WorkerOverview[];
  readonly running: readonly TaskOverview[];
  readonly failures: readonly TaskOverview[];
  readonly holdCount: number;
  readonly holds: readonly HoldOverview[];
  /** What has succeeded of late. */
  readonly recent: RecentCompletions;
}

/** A task as a line of an overview. */
export interface TaskOverview {
  readonly line: TaskLine;
  readonly taskClass: TaskClass | undefined;
}

/** The fleet in one answer. Reads are shared: ten screens cost what one costs. */
export class OverviewSource {
  readonly #parts: OverviewParts;
  #reading: Promise<Overview> | undefined;
  #last: { readonly overview: Overview; readonly until: number } | undefined;

  constructor(parts: OverviewParts) {
    this.#parts = parts;
  }

  /** @param limit Entries in each list, 1 to 100. */
  async get(limit: number): Promise<Overview> {
    const { clock } = this.#parts;
    const last = this.#last;
    if (last && clock.monotonic() < last.until) return cut(last.overview, limit);
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return cut(await this.#reading, limit);
  }

  async #read(): Promise<Overview> {
    const { store, classes, clock, pools, scheduler } = this.#parts;
    const began = clock.monotonic();
    const [facts, holds, schedulers, recent, starting, failed] = await Promise.all([
      readFleet(store, classes, MAX_LIMIT),
      readHolds(store, pools, MAX_LIMIT),
      store.listSchedulers(),
      store.recentCompletions(RECENT_MS),
      store.waitingLaunches(MAX_LIMIT),
      store.listLaunches({
        workerId: undefined,
        pool: undefined,
        beforeId: undefined,
        failedWithinMs: FAILED_START_MS,
        limit: MAX_LIMIT,
      }),
    ]);
    const launches = [
      ...starting.map((launch) => startingLine(launch, facts.now)),
      // Those that had registered are among the workers that have ended.
      ...failed
        .filter((record) => !hasRegistered(record))
        .flatMap(({ launch }) => (launch && failedStartLine(launch, facts.now)) ?? []),
    ];
    const living = schedulers.filter(({ leaseUntil }) => leaseUntil >= facts.now).length;
    const overview = {
      ...(await describe(facts, launches)),
      schedulerId: scheduler.id,
      schedulerVersion: scheduler.version,
      schedulers: Math.max(1, living),
      holdCount: holds.count,
      holds: holds.lines,
      recent: new RecentCompletions(recent),
    };
    const cost = clock.monotonic() - began;
    this.#last = { overview, until: clock.monotonic() + Math.max(FRESH_MS, cost * FRESH_READS) };
    return overview;
  }
}

export interface OverviewParts {
  readonly store: FleetFactsStore &
    HoldStore &
    Pick<LaunchStore, "listLaunches" | "waitingLaunches"> &
    Pick<SchedulerStore, "listSchedulers"> &
    Pick<StatisticsStore, "recentCompletions">;
  readonly classes: ClassIndex;
  readonly clock: Clock;
  readonly pools: Pick<PoolController, "any" | "plan">;
  readonly scheduler: { readonly id: string; readonly version: string };
}

function cut(overview: Overview, limit: number): Overview {
  const { queues, workers, running, failures, holds } = overview;
  return {
    ...overview,
    queues: queues.slice(0, limit),
    workers: workers.slice(0, limit),
    running: running.slice(0, limit),
    failures: failures.slice(0, limit),
    holds: holds.slice(0, limit),
  };
}

async function describe(
  facts: FleetFacts,
  launches: readonly WorkerOverview[],
): Promise<
  Omit<Overview, "holdCount" | "holds" | "recent" | "schedulerId" | "schedulerVersion" | "schedulers">
> {
  const { report, now } = facts;
  const refused = recentlyRejected(facts.rejected, now);
  const states = new Map<WorkerLine["state"], number>();
  for (const { state, workers } of report.groups) states.set(state, (states.get(state) ?? 0) + workers);
  if (refused.length > 0) states.set("refused", refused.length);
  for (const { line } of launches)
    if (line.state === "launching" || line.state === "connecting")
      states.set(line.state, (states.get(line.state) ?? 0) + 1);
  const { total, entries } = await queueOverviews(facts, MAX_LIMIT);
  return {
    readTime: now,
    workerStates: states,
    slots: report.groups.reduce((sum, { slots }) => sum + slots, 0),
    activeSlots: report.groups.reduce((sum, { active }) => sum + active, 0),
    ...total,
    stuckTasks: report.stuckCount,
    recentFailures: report.failureCount,
    queueCount: facts.queues.length,
    queues: entries,
    workers: [
      ...report.workers.map((line) => ({ line, problem: problemOf(line) })),
      ...launches,
      ...refused.map((rejection) => ({
        line: rejectedLine(rejection, now),
        problem: rejectionProblem(rejection),
      })),
    ]
      .sort((a, b) => rank(a) - rank(b))
      .slice(0, MAX_LIMIT),
    running: report.running.map((line) => ({ line, taskClass: facts.classOf(line.classId) })),
    failures: report.failures.map((line) => ({ line, taskClass: facts.classOf(line.classId) })),
  };
}

/** The latest rejection of each worker that has no living process. */
function recentlyRejected(rejected: readonly RejectedWorker[], now: Date): RejectedWorker[] {
  const recent = rejected.filter(
    ({ holder, lastTime }) => holder === "none" && now.getTime() - lastTime.getTime() <= REFUSED_MS,
  );
  return [...new Map(recent.toReversed().map((rejection) => [rejection.workerId, rejection])).values()];
}

function rank({ line, problem }: WorkerOverview): number {
  return RANKS[line.state] ?? (problem === "" ? 9 : 3);
}

function problemOf(line: WorkerLine): string {
  if (line.state === "suspect") return "does not answer";
  if (line.goneReason !== "")
    return line.fatal === "" ? line.goneReason : `${line.goneReason}: ${line.fatal}`;
  if (line.loopAgeMs >= LOOP_BLOCKED_MS) return `main loop blocked for ${span(line.loopAgeMs)}`;
  if (line.quarantine) return `quarantined: ${quarantineInWords(line.quarantine)}`;
  if (line.pauseReason !== "")
    return line.pauseReason === "paused" ? "paused" : `paused: ${line.pauseReason}`;
  return "";
}

function rejectionProblem({ code, count, peer }: RejectedWorker): string {
  return `${rejectionWords(code)}, ${plural(count, "time")} from ${peer}`;
}

function rejectedLine({ workerId, claims, lastTime }: RejectedWorker, now: Date): WorkerLine {
  return {
    workerId,
    state: "refused",
    goneReason: "",
    fatal: "",
    pauseReason: "",
    loopAgeMs: 0,
    active: 0,
    slots: 0,
    pool: claims.pool,
    silentMs: now.getTime() - lastTime.getTime(),
  };
}

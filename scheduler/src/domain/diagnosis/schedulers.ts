/** Checks of the schedulers and their loops. */
import { agree, plural, span } from "../explain/reason.ts";
import { MECHANISMS, modesInWords, notActing, type SomeModes } from "../mechanisms/mechanism.ts";
import type { LoopStatus, SchedulerReport } from "../reports.ts";
import { type Check, fact, found, ok } from "./check.ts";

/** A loop that has not run for this many of its intervals, and at least this long, is late. */
const LATE_INTERVALS = 3;
const LATE_AT_LEAST_MS = 5_000;

/** Clocks further apart than this make times from different machines misleading. */
const SKEW_MS = 2_000;

/** Share of its descriptors that a scheduler may use without a warning. */
const DESCRIPTORS_SHARE = 0.8;

/** What the checks of schedulers rest on. */
export interface SchedulerFacts {
  /** The scheduler that looks. */
  readonly self: SchedulerReport;
  /** Every scheduler that the database knows. */
  readonly all: readonly SchedulerReport[];
  /** Modes that queues have of their own, by queue. */
  readonly queueModes?: ReadonlyMap<string, SomeModes>;
  /** The database's clock. */
  readonly now: Date;
}

/** Whether the schedulers live, their loops run and their versions, clocks and timings agree. */
export function schedulerChecks({ self, all, queueModes = new Map(), now }: SchedulerFacts): Check[] {
  const others = all.filter(({ id }) => id !== self.id);
  const living = [self, ...others.filter(({ leaseUntil }) => leaseUntil >= now)];
  const dead = others.filter(
    (each) => each.leaseUntil < now && !living.some((other) => replaces(other, each)),
  );
  return [
    alive(living, dead, now),
    loops(living, self, now),
    clocks(living, self, now),
    descriptors(living),
    versions(living),
    timings(living),
    modes(living, self, now, queueModes),
  ];
}

/** File descriptors: at the limit a scheduler refuses workers. */
function descriptors(living: readonly SchedulerReport[]): Check {
  const name = "schedulers.descriptors";
  const low = living.flatMap(({ id, status }) => {
    const { used = 0, limit } = status?.descriptors ?? {};
    return limit !== undefined && used >= limit * DESCRIPTORS_SHARE ? [{ id, used, limit }] : [];
  });
  const [first] = low;
  if (!first) return ok(name, "no scheduler is short of file descriptors");
  return found(
    "warning",
    name,
    `scheduler ${first.id} uses ${first.used} of its ${first.limit} file descriptors, and refuses workers before the last are used`,
    "raise the limit (ulimit -n, LimitNOFILE=, docker run --ulimit nofile=), or start another scheduler",
    low.map(({ id, used, limit }) => fact(id, `${used} of ${limit}`)),
  );
}

/** The scheduler's own clock against the database's. @param skewMs How far it is ahead. @param slackMs How exact that is. */
export function databaseClock(skewMs: number, slackMs: number): Check {
  const name = "clocks.database";
  if (Math.abs(skewMs) <= SKEW_MS + slackMs)
    return ok(name, `scheduler and database differ by ${span(Math.abs(skewMs))}`);
  return found(
    "warning",
    name,
    `the scheduler's clock is ${span(Math.abs(skewMs))} ${skewMs > 0 ? "ahead of" : "behind"} the database's`,
    "the database's clock decides everything, so work goes on; set the machines' clocks (NTP), or times in logs mislead",
    [fact("skew_ms", Math.round(skewMs))],
  );
}

/** A loop that is late. */
export function isLate({ ageMs, intervalMs }: LoopStatus): boolean {
  return ageMs > Math.max(LATE_AT_LEAST_MS, intervalMs * LATE_INTERVALS);
}

/** It was started at the same address after the other had fallen silent: a restart. */
function replaces(living: SchedulerReport, dead: SchedulerReport): boolean {
  return living.address === dead.address && living.startTime > dead.announceTime;
}

function alive(living: readonly SchedulerReport[], dead: readonly SchedulerReport[], now: Date): Check {
  const name = "schedulers.alive";
  const evidence = [...living, ...dead].map((each) =>
    fact(
      "scheduler",
      `${each.id} at ${each.address}, version ${each.version}`,
      now.getTime() - each.announceTime.getTime(),
    ),
  );
  const [first] = dead;
  if (!first) return ok(name, plural(living.length, "scheduler", ["lives", "live"]), evidence);
  const silent = span(now.getTime() - first.announceTime.getTime());
  return found(
    "failed",
    name,
    `scheduler ${first.id} at ${first.address} has said nothing for ${silent}${dead.length > 1 ? `, and ${dead.length - 1} more` : ""}; ${plural(living.length, "scheduler", ["lives", "live"])}`,
    "look whether its process runs or is stopped, and at its log; one that ended for good is forgotten an hour after its last word",
    evidence,
  );
}

function loops(living: readonly SchedulerReport[], self: SchedulerReport, now: Date): Check {
  const name = "loops.running";
  const all = living.flatMap((scheduler) => {
    const sinceSaid = scheduler.id === self.id ? 0 : now.getTime() - scheduler.announceTime.getTime();
    // What it said of its loops is as old as its announcement: a loop that was on time then counts as on time.
    return (scheduler.status?.loops ?? []).map((loop) => ({ scheduler, loop, sinceSaid }));
  });
  const late = all.filter(({ loop }) => isLate(loop));
  const failing = all.filter(({ loop }) => loop.error !== "");
  const evidence = [...new Set([...late, ...failing])].map(({ scheduler, loop, sinceSaid }) => ({
    key: "loop",
    value: `${loop.name} of ${scheduler.id}: last ran ${span(loop.ageMs)} ago, due every ${span(loop.intervalMs)}${loop.error ? `; ${loop.error}` : ""}`,
    source: "scheduler",
    ageMs: sinceSaid,
  }));
  const [first] = late.sort((a, b) => b.loop.ageMs - a.loop.ageMs);
  if (first) {
    const more = late.length > 1 ? `, and ${plural(late.length - 1, "more loop")} of ${all.length} late` : "";
    return found(
      "failed",
      name,
      `loop ${first.loop.name} of ${first.scheduler.id} last ran ${span(first.loop.ageMs)} ago and is due every ${span(first.loop.intervalMs)}${more}`,
      "look at that scheduler's log and at what its statements wait for (database.locks); /livez turns 503 when it lasts, and a restart is safe",
      evidence,
    );
  }
  const [wrong] = failing;
  if (wrong) {
    return found(
      "warning",
      name,
      `the last run of loop ${wrong.loop.name} of ${wrong.scheduler.id} failed: ${wrong.loop.error}`,
      "it tries again by itself; look at that scheduler's log (event loop.failed) if it lasts",
      evidence,
    );
  }
  return ok(
    name,
    `${plural(all.length, "loop")} of ${plural(living.length, "scheduler")} ${agree(all.length, ["runs", "run"])} on time`,
  );
}

function clocks(living: readonly SchedulerReport[], self: SchedulerReport, now: Date): Check {
  const name = "clocks.schedulers";
  const off = living.flatMap((each) => {
    if (each.id === self.id || !each.status) return [];
    const skew = each.status.wallTime - each.announceTime.getTime();
    return Math.abs(skew) > SKEW_MS ? [{ each, skew }] : [];
  });
  const [first] = off;
  if (!first)
    return ok(
      name,
      living.length > 1 ? "the schedulers' clocks agree with the database's" : "there is one scheduler",
    );
  return found(
    "warning",
    name,
    `the clock of ${first.each.id} is ${span(Math.abs(first.skew))} ${first.skew > 0 ? "ahead of" : "behind"} the database's`,
    "set the machines' clocks (NTP)",
    off.map(({ each, skew }) =>
      fact("skew_ms", `${each.id} ${Math.round(skew)}`, now.getTime() - each.announceTime.getTime()),
    ),
  );
}

function versions(living: readonly SchedulerReport[]): Check {
  const name = "versions.schedulers";
  const all = [...new Set(living.map(({ version }) => version))].sort();
  if (all.length === 1)
    return ok(name, `${living.length === 1 ? "the scheduler runs" : "all schedulers run"} ${all[0]}`);
  return found(
    "warning",
    name,
    `schedulers of ${all.length} versions share the database: ${all.join(", ")}`,
    "finish the upgrade: they are made to share a database for the length of a rolling upgrade",
    living.map(({ id, version }) => fact("scheduler", `${id} ${version}`)),
  );
}

function timings(living: readonly SchedulerReport[]): Check {
  const name = "configuration.timings";
  const all = new Map(living.flatMap(({ id, status }) => (status ? [[id, status.timings] as const] : [])));
  const distinct = new Set(all.values());
  if (distinct.size <= 1)
    return ok(name, living.length > 1 ? "the schedulers have the same timings" : "there is one scheduler");
  return found(
    "warning",
    name,
    "the schedulers have different heartbeats, leases or graces: a worker that moves from one to another is judged differently",
    "start them with the same settings",
    [...all].map(([id, text]) => fact("timings", `${id}: ${text}`)),
  );
}

/** Mechanisms that do not act, of schedulers and of queues. */
function modes(
  living: readonly SchedulerReport[],
  self: SchedulerReport,
  now: Date,
  queueModes: ReadonlyMap<string, SomeModes>,
): Check {
  const name = "configuration.modes";
  const ofSchedulers = living.map((each) => ({
    key: "scheduler",
    of: each.id,
    modes: each.status?.modes ?? {},
    ageMs: each.id === self.id ? 0 : now.getTime() - each.announceTime.getTime(),
  }));
  const ofQueues = [...queueModes].map(([queue, own]) => ({ key: "queue", of: queue, modes: own, ageMs: 0 }));
  const withheld = [...ofSchedulers, ...ofQueues].filter((each) => modesInWords(each.modes) !== "");
  if (withheld.length === 0) return ok(name, "every mechanism is in mode act");
  const differ = new Set(ofSchedulers.map((each) => modesInWords(each.modes))).size > 1;
  const named = withheld
    .slice(0, MAX_NAMED)
    .map((each) => `${each.key} ${each.of}: ${modesInWords(each.modes)}`)
    .join("; ");
  const mechanisms = new Set(
    withheld.flatMap((each) => notActing(each.modes).map(([mechanism]) => mechanism)),
  );
  return found(
    differ ? "warning" : "note",
    name,
    `${differ ? "the schedulers have different modes; " : ""}mechanisms do not act at ${named}${withheld.length > MAX_NAMED ? "; ..." : ""}`,
    differ
      ? "start the schedulers with the same modes (--modes or MUSTER_MODES): what happens to a worker depends on the scheduler that it is connected to"
      : "muster_mechanism_observed_total counts what mechanisms in mode observe would have done; set them to act when the numbers are as expected",
    [
      ...withheld.map((each) => fact(each.key, `${each.of}: ${modesInWords(each.modes)}`, each.ageMs)),
      ...[...mechanisms].map((each) => fact(each, `while it does not act, ${MECHANISMS[each].otherwise}`)),
    ],
  );
}

/** Schedulers and queues that the summary names. */
const MAX_NAMED = 5;

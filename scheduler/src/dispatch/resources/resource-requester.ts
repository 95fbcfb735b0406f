/** Asks workers to load resources that waiting tasks need. */
import type { Clock } from "../../clock.ts";
import type { FleetMember } from "../../domain/explain/fleet.ts";
import { names } from "../../domain/explain/fleet.ts";
import { planResource, type ResourcePlan, type Want } from "../../domain/workers/resource-plan.ts";
import type { MaintenanceStore, SchedulerStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Admission } from "../admission/admission.ts";
import type { EventWriter } from "../attempts/writers/event-writer.ts";
import type { Peers } from "../claiming/peers.ts";
import { type Backlog, shownCount } from "../matching/backlog.ts";
import type { ClassIndex } from "../matching/class-index.ts";
import type { Registry } from "../sessions/registry.ts";
import type { Session } from "../sessions/session.ts";
import type { FleetView } from "../sessions/workers/fleet-view.ts";

/** The share of the warning's delay after which a worker that failed or did not begin is asked again: 10 s of 60. */
const RETRY_SHARE = 1 / 6;

/** Warnings of one resource come at intervals that double up to this many times the first. */
const MAX_WARN_GROWTH = 30;

/** Resources handled in one run; with thousands of workers it bounds a run to some 10 ms. */
const MAX_WANTS = 50;

/** Longest wait before a resource that some have is handled again. */
const SATISFIED_LOOK_MS = 5_000;

/** A lead is held for this many runs, and at least this long. */
const LEAD_RUNS = 3;
const MIN_LEAD_MS = 3_000;

/** What is remembered of a wanted resource. Times are monotonic milliseconds. */
interface Watch {
  readonly since: number;
  /** Not looked at before. */
  nextLookAt: number;
  nextWarningAt: number;
  warnWaitMs: number;
  /** `resource.unavailable` was logged. */
  unavailableLogged: boolean;
}

export interface ResourceRequesterParts {
  readonly store: Pick<SchedulerStore, "lead" | "sendCommand"> & Pick<MaintenanceStore, "databaseTime">;
  readonly classes: ClassIndex;
  readonly admission: Admission;
  readonly registry: Registry;
  readonly fleet: FleetView;
  readonly backlog: Backlog;
  readonly peers: Peers;
  readonly eventWriter: EventWriter;
  readonly clock: Clock;
  readonly log: Logger;
  readonly schedulerId: string;
  /** How often it runs, milliseconds. */
  readonly intervalMs: number;
  /** A resource that was asked for this long ago and is not loaded is warned of, milliseconds. */
  readonly warnMs: number;
}

/**
 * Requests the resources that waiting tasks require from workers. One scheduler decides for all (a lead in the store), and asks * the workers of other schedulers through them. Costs nothing while no class with resources exists.
 */
export class ResourceRequester {
  readonly #parts: ResourceRequesterParts;
  readonly #watches = new Map<string, Watch>();
  /** Requests sent through other schedulers that no heartbeat shows yet, by session and resource. */
  readonly #sentElsewhere = new Map<string, number>();

  constructor(parts: ResourceRequesterParts) {
    this.#parts = parts;
  }

  /** @throws DatabaseUnavailableError */
  async runOnce(): Promise<void> {
    const { store, classes, backlog, schedulerId, intervalMs } = this.#parts;
    const wants = classes.needResources ? this.#wants(await backlog.read(intervalMs / 2)) : [];
    this.#forget(wants);
    if (wants.length === 0) return;
    const lead = await store.lead("resources", schedulerId, Math.max(MIN_LEAD_MS, intervalMs * LEAD_RUNS));
    if (!lead) {
      this.#watches.clear();
      return;
    }
    const due = this.#due(wants);
    if (due.length === 0) return;
    const members = await this.#fleet();
    for (const want of due) await this.#request(want, members);
  }

  /** The wants whose turn it is, the largest first. */
  #due(wants: readonly Want[]): Want[] {
    const now = this.#parts.clock.monotonic();
    return wants
      .filter(({ resource }) => now >= (this.#watches.get(resource)?.nextLookAt ?? now))
      .sort((a, b) => b.waiting - a.waiting)
      .slice(0, MAX_WANTS);
  }

  /** Asks a worker of this scheduler. False when it is not here or its stream is down. */
  requestResource(sessionId: number, resource: string, waiting: number): boolean {
    const { registry, clock, eventWriter } = this.#parts;
    const session = registry.byId(sessionId);
    if (!session?.link) return false;
    session.noteAsk(resource, clock.monotonic());
    session.link.prepare(resource, waiting);
    eventWriter.appendEvent({
      name: "resource.requested",
      sessionId,
      workerId: session.workerId,
      attributes: { resource, waiting: String(waiting) },
    });
    return true;
  }

  #wants(counts: ReadonlyMap<number, number>): Want[] {
    const { classes, admission } = this.#parts;
    const wants = new Map<
      string,
      { resource: string; classes: Want["classes"][number][]; waiting: number }
    >();
    for (const [id, count] of counts) {
      const taskClass = classes.get(id)?.taskClass;
      if (!taskClass || !admission.admits(taskClass)) continue;
      for (const resource of taskClass.requirements.resources) {
        const want = wants.get(resource) ?? { resource, classes: [], waiting: 0 };
        want.classes.push(taskClass);
        want.waiting += count;
        wants.set(resource, want);
      }
    }
    return [...wants.values()];
  }

  /** What nothing waits for any more is no longer asked for. */
  #forget(wants: readonly Want[]): void {
    const wanted = new Set(wants.map(({ resource }) => resource));
    for (const resource of this.#watches.keys()) if (!wanted.has(resource)) this.#watches.delete(resource);
    const { clock, warnMs } = this.#parts;
    for (const [key, at] of this.#sentElsewhere) {
      if (clock.monotonic() - at > warnMs) this.#sentElsewhere.delete(key);
    }
    for (const session of this.#parts.registry.all()) {
      for (const resource of session.asks.keys()) {
        if (!wanted.has(resource) && !isLoading(session, resource)) session.dropAsk(resource);
      }
    }
  }

  async #fleet(): Promise<FleetMember[]> {
    const { store, fleet, peers } = this.#parts;
    const now = await store.databaseTime();
    const elsewhere = peers.count > 0 ? await fleet.elsewhere(now) : [];
    return [...fleet.own(now), ...elsewhere].sort((a, b) =>
      a.candidate.workerId < b.candidate.workerId ? -1 : 1,
    );
  }

  async #request(want: Want, members: readonly FleetMember[]): Promise<void> {
    const { clock, warnMs } = this.#parts;
    const { resource } = want;
    const retryMs = warnMs * RETRY_SHARE;
    const now = clock.monotonic();
    const plan = planResource(want, members, retryMs);
    const watch = this.#watch(resource, plan, now);
    const asked: FleetMember[] = [];
    for (const member of plan.ask) if (await this.#send(want, member, retryMs, now)) asked.push(member);
    if (asked.length > 0) this.#logRequested(want, plan, asked);
    else if (plan.have.length + plan.asked.length === 0 && !watch.unavailableLogged)
      this.#logUnavailable(want, plan, watch);
    if (now >= watch.nextWarningAt) this.#warn(want, plan, watch, now);
    // Where some have it, whether more should is no matter of a second.
    const satisfied = asked.length === 0 && plan.have.length > 0;
    watch.nextLookAt = satisfied ? now + Math.min(SATISFIED_LOOK_MS, retryMs) : now;
  }

  #watch(resource: string, plan: ResourcePlan, now: number): Watch {
    const known = this.#watches.get(resource);
    if (known) return known;
    const { warnMs } = this.#parts;
    // A lead that has just changed hands goes on from when the one before asked.
    const askedMs = Math.max(
      0,
      ...plan.asked.map(
        ({ asks }) => asks.get(resource)?.askedAgeMs ?? asks.get(resource)?.state?.ageMs ?? 0,
      ),
    );
    const since = now - askedMs;
    const watch = {
      since,
      nextLookAt: now,
      nextWarningAt: since + warnMs,
      warnWaitMs: warnMs,
      unavailableLogged: false,
    };
    this.#watches.set(resource, watch);
    return watch;
  }

  async #send(want: Want, member: FleetMember, retryMs: number, now: number): Promise<boolean> {
    const { store } = this.#parts;
    const { sessionId, schedulerId } = member.record;
    if (!member.elsewhere) return this.requestResource(sessionId, want.resource, want.waiting);
    const key = `${sessionId} ${want.resource}`;
    const sentAt = this.#sentElsewhere.get(key);
    if (sentAt !== undefined && now - sentAt < retryMs) return false;
    this.#sentElsewhere.set(key, now);
    await store.sendCommand(schedulerId, {
      sessionId,
      kind: "prepare",
      body: { resource: want.resource, waiting: String(want.waiting) },
    });
    return true;
  }

  #logRequested(want: Want, plan: ResourcePlan, asked: readonly FleetMember[]): void {
    const having =
      plan.have.length === 0
        ? "no worker has"
        : `only ${names(plan.have)} ${plan.have.length === 1 ? "has" : "have"}`;
    this.#parts.log.info("resource.requested", {
      resource: want.resource,
      types: typesOf(want),
      waiting: want.waiting,
      workers: asked.map(({ candidate }) => candidate.workerId),
      loaded_on: plan.have.map(({ candidate }) => candidate.workerId),
      line: `${typesOf(want).join(", ")} tasks waiting (${shownCount(want.waiting)}) but ${having} ${want.resource} loaded: asked ${names(asked)}`,
    });
  }

  #logUnavailable(want: Want, plan: ResourcePlan, watch: Watch): void {
    // Where no worker would do even with it, the resource is not what is in the way.
    if (plan.lack.length === 0) return;
    watch.unavailableLogged = true;
    this.#parts.log.warn("resource.unavailable", {
      resource: want.resource,
      types: typesOf(want),
      waiting: want.waiting,
      workers: plan.lack.map(({ candidate }) => candidate.workerId),
      line: `${typesOf(want).join(", ")} tasks waiting (${shownCount(want.waiting)}) but no worker has ${want.resource} loaded, and ${names(plan.lack)} cannot be asked to load it`,
    });
  }

  #warn(want: Want, plan: ResourcePlan, watch: Watch, now: number): void {
    const { log, eventWriter, warnMs } = this.#parts;
    watch.nextWarningAt = now + watch.warnWaitMs;
    watch.warnWaitMs = Math.min(watch.warnWaitMs * 2, warnMs * MAX_WARN_GROWTH);
    // When some have it, only those that were asked are missed.
    const missing = plan.have.length > 0 ? plan.asked : plan.lack;
    if (missing.length === 0 && plan.have.length > 0) return;
    const waitedMs = Math.round(now - watch.since);
    const workers = missing.map(({ candidate }) => candidate.workerId);
    const errors = missing.flatMap(({ candidate, asks }) => {
      const error = asks.get(want.resource)?.state?.error;
      return error ? [`${candidate.workerId}: ${error}`] : [];
    });
    const who =
      workers.length === 0
        ? "no connected worker is eligible for the tasks"
        : `${workers.length === 1 ? "worker" : "workers"} ${names(missing)} still ${workers.length === 1 ? "lacks" : "lack"} it`;
    const line = `${want.resource} has been needed for ${Math.round(waitedMs / 1_000)} s by ${shownCount(want.waiting)} waiting tasks, but ${who}`;
    log.warn("resource.not_loaded", {
      resource: want.resource,
      types: typesOf(want),
      waiting: want.waiting,
      waited_ms: waitedMs,
      workers,
      ...(errors.length > 0 ? { errors } : {}),
      line,
    });
    eventWriter.appendEvent({
      name: "resource.not_loaded",
      attributes: {
        resource: want.resource,
        waiting: String(want.waiting),
        waited_ms: String(waitedMs),
        workers: workers.slice(0, 100).join(", "),
      },
    });
  }
}

function isLoading(session: Session, resource: string): boolean {
  return (session.lastBeat?.resourceStates ?? []).some(
    (state) => state.resource === resource && state.state === "loading",
  );
}

function typesOf(want: Want): string[] {
  return [...new Set(want.classes.map(({ type }) => type))];
}

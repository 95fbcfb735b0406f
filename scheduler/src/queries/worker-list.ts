// Lists workers: sessions, newest first, then workers that were refused and have no living process, by id.

import type { FleetView } from "../dispatch/sessions/workers/fleet-view.ts";
import type { RejectedWorker } from "../domain/workers/rejected-worker.ts";
import type { EarlierStart } from "../domain/workers/startup-history.ts";
import { hasRegistered, type WorkerRecord, type WorkerState, workerState } from "../domain/workers/worker.ts";
import type { HeldUse } from "../store/fleet.ts";
import type { FleetStore, LaunchStore, MaintenanceStore, SessionStore } from "../store/store.ts";
import { byWorker, isWorker } from "./rejected-workers.ts";

/** A worker with what was refused in its name, the latest first. */
export type ListedWorker =
  | {
      readonly kind: "session";
      readonly record: WorkerRecord;
      readonly rejections: readonly RejectedWorker[];
      /** Earlier starts, newest first; only of a single worker that is starting. */
      readonly earlier?: readonly EarlierStart[];
    }
  | { readonly kind: "rejected"; readonly workerId: string; readonly rejections: readonly RejectedWorker[] };

/** Where a list goes on: among the sessions, or among the refused workers. */
export type ListPosition =
  | { readonly kind: "session"; readonly beforeId: number | undefined }
  | { readonly kind: "rejected"; readonly afterId: string };

/** Which workers are listed. */
export interface WorkerListFilter {
  /** Empty for all. */
  readonly pool: string;
  /** Empty for all. */
  readonly states: ReadonlySet<WorkerState>;
  readonly position: ListPosition;
  readonly limit: number;
}

/** What the list reads of the workers in memory. */
export type WorkerListFleet = Pick<
  FleetView,
  "activeCount" | "capacities" | "isSilentElsewhere" | "releasedCount"
>;

type WorkerListStore = Pick<
  FleetStore & LaunchStore & MaintenanceStore & SessionStore,
  "earlierStarts" | "databaseTime" | "heldUse" | "listWorkers" | "listRejectedWorkers" | "getWorker"
>;

/** Reads the list of workers and single workers. */
export class WorkerList {
  readonly #store: WorkerListStore;
  readonly #fleet: WorkerListFleet;

  constructor({ store, fleet }: { store: WorkerListStore; fleet: WorkerListFleet }) {
    this.#store = store;
    this.#fleet = fleet;
  }

  /**
   * At most `limit` entries after the position, and one more when there is one.
   *
   * @returns `now` by the database's clock.
   */
  async list(filter: WorkerListFilter): Promise<{ entries: ListedWorker[]; now: Date }> {
    const { states, position, limit } = filter;
    const now = await this.#store.databaseTime();
    const all = await this.#store.listRejectedWorkers(undefined);
    const rejections = byWorker(all.filter((each) => states.has("refused") || isWorker(each)));
    const onlyRejected = position.kind === "rejected" || (states.size === 1 && states.has("refused"));
    const sessions = onlyRejected ? [] : await this.#sessions(filter, now);
    const entries = (await this.#withUse(sessions, now)).map(
      (record): ListedWorker => ({
        kind: "session",
        record,
        rejections: rejections.get(record.workerId) ?? [],
      }),
    );
    if (states.size > 0 && !states.has("refused")) return { entries, now };
    const room = Math.max(0, limit + 1 - entries.length);
    return { entries: [...entries, ...rejectedEntries(rejections, filter).slice(0, room)], now };
  }

  /** A worker by its id; undefined when it neither registered nor was refused. */
  async get(workerId: string): Promise<ListedWorker | undefined> {
    if (workerId === "") return undefined;
    const rejections = await this.#store.listRejectedWorkers(workerId);
    const record = await this.#store.getWorker(workerId);
    if (record) {
      const starting = record.goneTime === undefined && !record.ready;
      const earlier = starting ? { earlier: await this.#earlierStarts(record) } : {};
      const [used = record] = await this.#withUse([record], await this.#store.databaseTime());
      return { kind: "session", record: used, rejections, ...earlier };
    }
    return rejections.length > 0 ? { kind: "rejected", workerId, rejections } : undefined;
  }

  #earlierStarts({ workerId, hello, launch }: WorkerRecord): Promise<EarlierStart[]> {
    return this.#store.earlierStarts([{ workerId, pool: hello.pool || (launch?.pool ?? "") }]);
  }

  /** At most `limit + 1` sessions: the filter by state is applied here, because a state depends on the time. */
  async #sessions({ pool, states, position, limit }: WorkerListFilter, now: Date): Promise<WorkerRecord[]> {
    const gone = states.has("gone") || states.has("lost");
    const found: WorkerRecord[] = [];
    let beforeId = position.kind === "session" ? position.beforeId : undefined;
    let more = true;
    while (found.length <= limit && more) {
      const rows = await this.#store.listWorkers({
        pool: pool || undefined,
        living: states.size > 0 && !gone ? true : undefined,
        beforeId,
        limit: limit + 1,
      });
      more = rows.length > limit;
      beforeId = rows.at(-1)?.sessionId;
      found.push(...rows.filter((worker) => states.size === 0 || states.has(workerState(worker, now))));
    }
    return found.slice(0, limit + 1);
  }

  async #withUse(records: readonly WorkerRecord[], now: Date): Promise<WorkerRecord[]> {
    const silent = records.filter((record) => this.#fleet.isSilentElsewhere(record, now));
    const counted = silent.length > 0 ? await this.#store.heldUse(silent.map((each) => each.sessionId)) : [];
    const held = new Map(counted.map((use) => [use.sessionId, use]));
    const counts = new Set(silent);
    return records.map((record) => {
      const known = counts.has(record) ? withHeld(record, held.get(record.sessionId)) : record;
      return {
        ...known,
        activeCount: this.#fleet.activeCount(known),
        releasedCount: this.#fleet.releasedCount(known),
        ...(hasRegistered(known) ? { capacities: this.#fleet.capacities(known) } : {}),
      };
    });
  }
}

/** The record with what it holds by the table of tasks, in the place of its last heartbeat's. */
function withHeld(record: WorkerRecord, held: HeldUse | undefined): WorkerRecord {
  const { outstanding, slots, used } = held ?? { outstanding: 0, slots: 0, used: {} };
  const { heartbeat } = record;
  return {
    ...record,
    activeCount: outstanding,
    ...(heartbeat?.seen
      ? { heartbeat: { ...heartbeat, seen: { ...heartbeat.seen, outstanding, slots, used } } }
      : {}),
  };
}

/** The position after an entry. */
export function positionAfter(entry: ListedWorker): ListPosition {
  return entry.kind === "session"
    ? { kind: "session", beforeId: entry.record.sessionId }
    : { kind: "rejected", afterId: entry.workerId };
}

function rejectedEntries(
  rejections: ReadonlyMap<string, readonly RejectedWorker[]>,
  { pool, position }: WorkerListFilter,
): ListedWorker[] {
  const afterId = position.kind === "rejected" ? position.afterId : "";
  return [...rejections]
    .filter(([workerId, [latest]]) => {
      const inPool = pool === "" || latest?.claims.pool === pool;
      return latest?.holder === "none" && inPool && workerId > afterId;
    })
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([workerId, own]) => ({ kind: "rejected", workerId, rejections: own }));
}

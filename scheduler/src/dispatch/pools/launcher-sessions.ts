/** The launchers that are connected to this scheduler. */
import type { Clock } from "../../clock.ts";
import { Refusal } from "../../domain/errors.ts";
import type { LaunchObservation } from "../../domain/pools/pool-launch.ts";
import type { LauncherClaim, LaunchToSend, PoolStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { LeaseSettings } from "../limits.ts";

/** Heartbeats of a launcher that may be missing. */
const MISSED_HEARTBEATS = 3;

/** Between the request to end a process and its kill, milliseconds. */
const GRACE_MS = 30_000;

/** An order to a launcher. */
export type LauncherOrder =
  | { readonly kind: "leases"; readonly pools: readonly string[] }
  | { readonly kind: "launch"; readonly launch: LaunchToSend }
  | { readonly kind: "stop"; readonly launchId: string; readonly graceMs: number; readonly reason: string }
  | { readonly kind: "acknowledge"; readonly launchIds: readonly string[] };

/** The stream of a launcher. */
export interface LauncherLink {
  send(order: LauncherOrder): void;
  end(refusal: Refusal): void;
}

/** A launch as a launcher reports it. */
export type ReportedLaunch = Omit<LaunchObservation, "atMs"> & { readonly launchId: string };

/** Who connects. */
export type LauncherIdentity = Omit<LauncherClaim, "first"> & { readonly program: string };

/** What the sessions work with. */
export interface LauncherSessionsParts {
  readonly store: Pick<
    PoolStore,
    "endedLaunches" | "launchStops" | "leasePools" | "observeLaunches" | "releasePools" | "takeLaunches"
  >;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Logger;
  readonly leases: LeaseSettings;
}

/** One connected launcher. */
class LauncherSession {
  readonly identity: LauncherIdentity;
  readonly link: LauncherLink;
  /** Launches that it received in this session, or said that it has. */
  readonly sent: Set<string>;
  /** When the process of each launch was to end, as sent. */
  readonly stops = new Map<string, number>();
  /** Ends that it reported and that are not recorded. */
  readonly ends = new Set<string>();
  first = true;
  leased: readonly string[] = [];
  heardAt: number;
  renewedAt = Number.NEGATIVE_INFINITY;

  constructor(identity: LauncherIdentity, link: LauncherLink, sent: Set<string>, now: number) {
    this.identity = identity;
    this.link = link;
    this.sent = sent;
    this.heardAt = now;
  }
}

/**
 * Sends launchers what they are to start and end, and records what they see. The database decides which launcher has a pool;
 * of a launch it stores the launcher before the launcher receives it.
 */
export class LauncherSessions {
  readonly #parts: LauncherSessionsParts;
  readonly #sessions = new Set<LauncherSession>();
  #ended: () => void = () => undefined;

  constructor(parts: LauncherSessionsParts) {
    this.#parts = parts;
  }

  /** Calls back when a launcher reports an end: the controller decides what follows. */
  onEnded(callback: () => void): void {
    this.#ended = callback;
  }

  /** Interval of the heartbeats of launchers, milliseconds. */
  get heartbeatMs(): number {
    return this.#parts.leases.heartbeatMs;
  }

  /** How long a pool waits for a launcher that is gone, milliseconds. */
  get leaseMs(): number {
    return this.#parts.leases.leaseMs;
  }

  /** Pools were made or changed: the next run renews every lease, and takes those of new pools. */
  poolsChanged(): void {
    for (const session of this.#sessions) session.renewedAt = Number.NEGATIVE_INFINITY;
  }

  /** Launchers that are connected here. */
  get size(): number {
    return this.#sessions.size;
  }

  /**
   * A launcher has connected, with the launches that its engine has. Answers what to call with its messages.
   *
   * @throws DatabaseUnavailableError
   */
  async connect(
    identity: LauncherIdentity,
    launches: readonly ReportedLaunch[],
    link: LauncherLink,
  ): Promise<ConnectedLauncher> {
    const { clock, log } = this.#parts;
    for (const other of this.#sessions) {
      if (other.identity.launcherId !== identity.launcherId) continue;
      this.#sessions.delete(other);
      other.link.end(superseded(identity.launcherId));
    }
    // What the engine only has as pending may not have been started by a launcher that was killed: it is sent again.
    const sent = new Set(launches.flatMap(({ launchId, phase }) => (phase === "pending" ? [] : [launchId])));
    const session = new LauncherSession(identity, link, sent, clock.monotonic());
    await this.#observe(session, launches);
    this.#sessions.add(session);
    log.info("launcher.connected", {
      ...{ launcher_id: identity.launcherId, hostname: identity.hostname, program: identity.program },
      ...{ drivers: identity.drivers, pools: identity.pools, launches: launches.length },
    });
    return {
      heartbeat: () => {
        session.heardAt = clock.monotonic();
      },
      observe: async (observations) => {
        session.heardAt = clock.monotonic();
        await this.#observe(session, observations);
      },
      disconnected: async (planned) => {
        if (!this.#sessions.delete(session)) return;
        log.info("launcher.disconnected", { launcher_id: identity.launcherId, planned });
        // A launcher whose connection broke may come back before the lease is over.
        if (planned) await this.#parts.store.releasePools(identity.session);
      },
    };
  }

  /** Renews leases, and sends what is due. @throws DatabaseUnavailableError */
  async runOnce(): Promise<void> {
    const failures: unknown[] = [];
    for (const session of this.#sessions) {
      try {
        await this.#serve(session);
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  async #serve(session: LauncherSession): Promise<void> {
    const { store, clock } = this.#parts;
    const { identity, link, sent, stops, ends } = session;
    const { launcherId } = identity;
    const now = clock.monotonic();
    if (now - session.heardAt > MISSED_HEARTBEATS * this.heartbeatMs) {
      this.#sessions.delete(session);
      link.end(silent(MISSED_HEARTBEATS * this.heartbeatMs));
      return;
    }
    if (now - session.renewedAt >= this.heartbeatMs) await this.#renew(session, now);
    const launches = await store.takeLaunches(launcherId, identity.session, session.leased, [...sent]);
    for (const launch of launches) {
      sent.add(launch.launchId);
      link.send({ kind: "launch", launch });
    }
    const wanted = await store.launchStops(launcherId);
    for (const { launchId, reason, endMs } of wanted) {
      if (stops.get(launchId) === endMs) continue;
      stops.set(launchId, endMs);
      link.send({ kind: "stop", launchId, reason, graceMs: GRACE_MS });
    }
    const recorded = await store.endedLaunches([...ends]);
    if (recorded.length === 0) return;
    for (const launchId of recorded) {
      ends.delete(launchId);
      sent.delete(launchId);
      stops.delete(launchId);
    }
    link.send({ kind: "acknowledge", launchIds: recorded });
  }

  async #renew(session: LauncherSession, now: number): Promise<void> {
    const { first, identity, link } = session;
    const leased = await this.#parts.store.leasePools({ ...identity, first }, this.leaseMs);
    if (first || leased.join() !== session.leased.join()) link.send({ kind: "leases", pools: leased });
    session.first = false;
    session.leased = leased;
    session.renewedAt = now;
  }

  async #observe(session: LauncherSession, observations: readonly ReportedLaunch[]): Promise<void> {
    const { store, log } = this.#parts;
    const { identity, link } = session;
    const { unknown, ended } = await store.observeLaunches(identity.launcherId, observations);
    const phases = new Map(observations.map(({ launchId, phase }) => [launchId, phase]));
    const over = new Set([...unknown, ...ended]);
    const gone = [...over].filter((launchId) => phases.get(launchId) === "ended");
    if (gone.length > 0) link.send({ kind: "acknowledge", launchIds: gone });
    for (const launchId of over) {
      if (phases.get(launchId) === "ended" || session.stops.has(launchId)) continue;
      session.stops.set(launchId, 0);
      const reason = unknown.includes(launchId)
        ? "no pool of this scheduler has a launch of this id"
        : "its launch has ended";
      log.warn("launcher.orphan", { launcher_id: identity.launcherId, launch_id: launchId, reason });
      link.send({ kind: "stop", launchId, reason, graceMs: GRACE_MS });
    }
    let anyEnded = false;
    for (const [launchId, phase] of phases) {
      if (phase !== "ended" || over.has(launchId)) continue;
      session.ends.add(launchId);
      anyEnded = true;
    }
    if (anyEnded) this.#ended();
  }
}

/** What the stream of a connected launcher calls. */
export interface ConnectedLauncher {
  heartbeat(): void;
  /** @throws DatabaseUnavailableError */
  observe(observations: readonly ReportedLaunch[]): Promise<void>;
  /** @param planned The launcher has closed the stream itself. */
  disconnected(planned: boolean): Promise<void>;
}

function superseded(launcherId: string): Refusal {
  return new Refusal(
    "aborted",
    "LAUNCHER_SUPERSEDED",
    `a newer stream of launcher ${launcherId} has come; of two processes with one state folder only one may run`,
  );
}

function silent(forMs: number): Refusal {
  return new Refusal(
    "unavailable",
    "LAUNCHER_SILENT",
    `no heartbeat came for ${forMs / 1_000} s; connect again`,
    { retryDelayMs: 0 },
  );
}

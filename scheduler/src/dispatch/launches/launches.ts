/** Records reports of supervisors. */
import { Batcher } from "@muster/common/batcher";
import { cutToEnd } from "@muster/common/text/text";
import {
  endingSignal,
  exitInWords,
  type LaunchEndReason,
  launchEndReason,
  registerTimeLeftMs,
} from "../../domain/workers/launch.ts";
import type { StartupPhaseRecord } from "../../domain/workers/worker.ts";
import type {
  LaunchExit,
  LaunchReport,
  LaunchReported,
  LaunchStore,
  MaintenanceStore,
} from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import type { RetryPolicies } from "../attempts/retry-policies.ts";
import type { EventWriter } from "../attempts/writers/event-writer.ts";
import type { LeaseSettings } from "../limits.ts";
import type { SessionTerminator } from "../sessions/session-terminator.ts";
import { decideProcessEnd } from "../sessions/termination-reasons.ts";

/** Reports in one statement: as many as registrations. */
const MAX_REPORT_BATCH = 200;

/** Launches given up in one statement. */
const GIVE_UP_BATCH = 100;

/** Waiting processes that are logged one by one; more start at a time only in an outage, which one line shows as well. */
const MAX_MONITORED = 20;

/** Reports that fit into a lease, like heartbeats. */
const REPORTS_IN_LEASE = 3;

/** Characters of the output's end that go into the scheduler's log: the last line or two. */
const LOGGED_TAIL = 500;

/** A report of an end before it is classified. */
export type ReportedExit = Omit<LaunchExit, "classify">;

/** What the launches work with. */
export interface LaunchParts {
  readonly store: LaunchStore & Pick<MaintenanceStore, "databaseTime">;
  readonly terminator: SessionTerminator;
  readonly eventWriter: EventWriter;
  readonly log: Logger;
  readonly counters: Counters;
  readonly leases: LeaseSettings;
  readonly retryPolicies: Pick<RetryPolicies, "decide">;
}

/** Worker processes as their supervisors report them: starts, phases before any connection, ends. */
export class Launches {
  readonly #parts: LaunchParts;
  readonly #reporter: Batcher<LaunchReport, LaunchReported>;

  constructor(parts: LaunchParts) {
    this.#parts = parts;
    this.#reporter = new Batcher((reports) => parts.store.reportLaunches(reports), {
      maxWeight: MAX_REPORT_BATCH,
    });
  }

  /** How often a supervisor is to report, milliseconds. */
  get reportIntervalMs(): number {
    return Math.round(this.#parts.leases.leaseMs / REPORTS_IN_LEASE);
  }

  /** A supervisor that was not heard of for this long is silent, milliseconds. */
  get silentAfterMs(): number {
    const { leaseMs, graceMs } = this.#parts.leases;
    return leaseMs + graceMs;
  }

  /**
   * A process was started, or is still there, perhaps with new phases. Answers an operator's request to end it, and its session.
   *
   * @throws DatabaseUnavailableError
   */
  async report(report: LaunchReport): Promise<Pick<LaunchReported, "stop" | "noticed" | "session">> {
    const { log } = this.#parts;
    const { isNew, knownPhases, registered, ...known } = await this.#reporter.add(report);
    const { launchId, workerId, pool, facts, phases } = report;
    if (isNew) {
      log.info("worker.launched", {
        worker_id: workerId,
        launch_id: launchId,
        pool,
        command: facts.command,
        hostname: facts.hostname,
        worker_pid: facts.pid,
        start_number: facts.startNumber,
      });
    }
    // A registered worker reports its phases on its stream.
    if (!registered) for (const phase of phases.slice(knownPhases)) this.#phase(report, phase);
    return known;
  }

  /**
   * A process ended. What it held is requeued at once: its supervisor saw that it is gone. Answers how many
   * attempts were.
   *
   * @throws DatabaseUnavailableError
   */
  async exit(report: ReportedExit): Promise<number> {
    const { store, terminator, log, counters, retryPolicies } = this.#parts;
    const { launchId, workerId, exit, phases, logTail } = report;
    const lastPhase = phases.at(-1)?.phase ?? "";
    const ended = await store.endLaunch({
      ...report,
      classify: (registered) => {
        const reason = launchEndReason(exit, phases, registered);
        return {
          reason,
          event: eventOf(reason),
          attributes: { launch_id: launchId, reason, ...facts(report), last_phase: lastPhase },
        };
      },
    });
    const { reason, isNew, livingSessions } = ended;
    if (isNew) {
      const planned = reason === "finished";
      // One that had registered is counted with the end of its session.
      if (reason === "launch_failed" || reason === "startup_timeout") counters.launchFailures.add(reason);
      const lines = {
        worker_id: workerId,
        launch_id: launchId,
        reason,
        how: exitInWords(exit),
        ...facts(report),
        last_phase: lastPhase,
        ...(planned ? {} : { log_tail: cutToEnd(logTail, LOGGED_TAIL) }),
      };
      if (planned) log.info("worker.exited", lines);
      else log.error(eventOf(reason), lines);
    }
    if (livingSessions.length === 0) return ended.requeued;
    const requeued = await terminator.terminateForProcessEnd(
      livingSessions,
      reason,
      exit.fatal,
      decideProcessEnd(retryPolicies, reason, exit),
    );
    return store.addRequeued(launchId, requeued);
  }

  /**
   * Gives up launches that never registered and whose supervisor had fallen silent.
   *
   * @param expiryTime As of when, by the database's clock; undefined when no lease may be called expired.
   */
  async giveUp(expiryTime: () => Date | undefined): Promise<void> {
    const { store, log } = this.#parts;
    const asOf = expiryTime();
    if (!asOf) return;
    for (;;) {
      const silent = await store.giveUpLaunches(asOf, this.silentAfterMs, GIVE_UP_BATCH);
      for (const { launchId, workerId, silentMs, lastPhase } of silent) {
        log.warn("worker.lost", {
          worker_id: workerId,
          launch_id: launchId,
          reason: "supervisor_silent",
          silent_ms: Math.round(silentMs),
          last_phase: lastPhase,
        });
      }
      if (silent.length < GIVE_UP_BATCH) return;
    }
  }

  /** One line for each process that was launched and has not registered. */
  async monitor(): Promise<void> {
    const { store, log } = this.#parts;
    const waiting = await store.waitingLaunches(MAX_MONITORED);
    if (waiting.length === 0) return;
    const now = await store.databaseTime();
    for (const launch of waiting) {
      const last = launch.phases.at(-1);
      const left = registerTimeLeftMs(launch, now);
      const level = left > 0 ? "info" : "warn";
      log[level]("worker.waiting_for_connection", {
        worker_id: launch.workerId,
        launch_id: launch.id,
        last_phase: last?.phase ?? "",
        phase_age_ms: Math.round(now.getTime() - launch.launchTime.getTime() - (last?.elapsedMs ?? 0)),
        register_timeout_ms: launch.registerTimeoutMs,
        timeout_left_ms: Math.max(0, Math.round(left)),
        supervisor_silent_ms: Math.round(now.getTime() - launch.reportTime.getTime()),
        ...(launch.lastError ? { last_dial_error: launch.lastError } : {}),
      });
    }
  }

  #phase({ launchId, workerId }: LaunchReport, phase: StartupPhaseRecord): void {
    const { eventWriter, log } = this.#parts;
    const elapsed = Math.round(phase.elapsedMs);
    eventWriter.appendEvent({
      name: "worker.startup.phase",
      workerId,
      attributes: {
        ...phase.attributes,
        phase: phase.phase,
        elapsed_ms: String(elapsed),
        launch_id: launchId,
        source: "launch",
        outcome: phase.outcome || "ok",
        ...(phase.detail ? { detail: phase.detail } : {}),
      },
    });
    log.info("worker.startup.phase", {
      worker_id: workerId,
      phase: phase.phase,
      outcome: phase.outcome || "ok",
      elapsed_ms: elapsed,
      ...(phase.detail ? { detail: phase.detail } : {}),
      launch_id: launchId,
      source: "launch",
    });
  }
}

/** Name under which the end of a launch is logged and recorded. */
function eventOf(reason: LaunchEndReason) {
  switch (reason) {
    case "launch_failed":
    case "startup_timeout":
    case "killed":
    case "oom_killed":
      return `worker.${reason}` as const;
    default:
      return "worker.exited";
  }
}

function facts({ exit, restartInMs }: ReportedExit): Record<string, string> {
  const signal = endingSignal(exit);
  return {
    ...(exit.exitCode === undefined ? {} : { exit_code: String(exit.exitCode) }),
    ...(signal ? { signal } : {}),
    ...(exit.outOfMemoryEvidence ? { out_of_memory: exit.outOfMemoryEvidence } : {}),
    ...(exit.startError ? { start_error: exit.startError } : {}),
    ...(exit.killReason ? { kill_reason: exit.killReason } : {}),
    ...(exit.fatal
      ? { exception_class: exit.fatal.exceptionClass, exception_message: exit.fatal.exceptionMessage }
      : {}),
    ran_for_ms: String(Math.round(exit.ranForMs)),
    ...(restartInMs === undefined ? {} : { restart_in_ms: String(Math.round(restartInMs)) }),
  };
}

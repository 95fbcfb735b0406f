/** Makes the parts that open, renew and end the sessions of workers. */
import { Launches, type LaunchParts } from "../launches/launches.ts";
import { LeaseExpiryGuard } from "./lease-expiry-guard.ts";
import { LeaseReaper, type LeaseReaperParts } from "./lease-reaper.ts";
import { Registrar, type RegistrarParts } from "./registration.ts";
import { SessionLiveness, type SessionLivenessParts } from "./session-liveness.ts";
import { SessionReportHandler, type SessionReportParts } from "./session-report-handler.ts";
import { SessionTerminator, type SessionTerminatorParts } from "./session-terminator.ts";
import { StartupRecorder, type StartupRecorderParts } from "./startup-recorder.ts";

/** A renewal that comes this many heartbeats late counts as starved. */
const STARVED_AFTER_HEARTBEATS = 3;

/** The life of sessions. */
export interface SessionParts {
  readonly expiryGuard: LeaseExpiryGuard;
  readonly launches: Launches;
  readonly liveness: SessionLiveness;
  readonly reaper: LeaseReaper;
  readonly registrar: Registrar;
  readonly sessionReports: SessionReportHandler;
  readonly terminator: SessionTerminator;
}

/** Those that are made here. */
type Made = "expiryGuard" | "launches" | "startup" | "terminator";

export function createSessions(
  parts: SessionTerminatorParts &
    StartupRecorderParts &
    Omit<RegistrarParts, Made> &
    Omit<SessionReportParts, Made> &
    Omit<SessionLivenessParts, Made> &
    Omit<LeaseReaperParts, Made> &
    Omit<LaunchParts, Made>,
): SessionParts {
  const { clock, leases } = parts;
  const terminator = new SessionTerminator(parts);
  const startup = new StartupRecorder(parts);
  const starvedAfterMs = leases.heartbeatMs * STARVED_AFTER_HEARTBEATS;
  const expiryGuard = new LeaseExpiryGuard(clock, leases.leaseMs, starvedAfterMs);
  const launches = new Launches({ ...parts, terminator });
  return {
    expiryGuard,
    launches,
    liveness: new SessionLiveness({ ...parts, terminator, startup }),
    reaper: new LeaseReaper({ ...parts, terminator, launches, expiryGuard }),
    registrar: new Registrar({ ...parts, terminator, startup }),
    sessionReports: new SessionReportHandler({ ...parts, terminator, startup }),
    terminator,
  };
}

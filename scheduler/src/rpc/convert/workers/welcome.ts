/** The Welcome of a worker in protobuf. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { PROTOCOL_VERSION, type WelcomeSchema } from "@muster/protocol";
import type { Clock } from "../../../clock.ts";
import type { LeaseSettings, SizeLimits } from "../../../dispatch/limits.ts";
import type { AttemptDecision } from "../../../dispatch/sessions/reconcile.ts";
import type { Session } from "../../../dispatch/sessions/session.ts";
import { formatAttemptId } from "../../../domain/ids.ts";
import type { WatchSettings } from "../../../domain/tasks/attempts/watchdog.ts";
import { durationFromMs, durations, timestampFromMs } from "../values/time.ts";

/** Features beyond the protocol's first version, as Welcome lists them. */
const FEATURES = [
  ...["brief_starts", "key_pauses", "checkpoints", "steps", "handler_reports", "adaptive_limits"],
  ...["slot_release", "event_batches"],
];
const TASK_LOGS = "task_logs";

/** What a Welcome says of the scheduler. */
export interface WelcomeFacts {
  readonly clock: Clock;
  readonly leases: LeaseSettings;
  readonly watch: WatchSettings;
  readonly sizes: SizeLimits;
  readonly schedulerId: string;
  /** Lines of handlers are kept. */
  readonly takesLogs: boolean;
}

/** The Welcome of a registered session, with what became of the attempts that its worker listed. */
export function fromRegistered(
  { operatorPause }: Pick<Session, "operatorPause">,
  decisions: readonly AttemptDecision[],
  { clock, leases, sizes, schedulerId, watch, takesLogs }: WelcomeFacts,
): MessageInitShape<typeof WelcomeSchema> {
  return {
    schedulerId,
    schedulerTime: timestampFromMs(clock.now()),
    heartbeatInterval: durationFromMs(leases.heartbeatMs),
    lease: durationFromMs(leases.leaseMs),
    reconnectGrace: durationFromMs(leases.graceMs),
    acceptDeadline: durationFromMs(leases.acceptDeadlineMs),
    phaseWarnings: durations(watch.phasesMs),
    decisions: decisions.map(({ key, keep, reason, cancelled }) => ({
      attemptId: formatAttemptId(key),
      keep,
      reason,
      cancelled,
    })),
    maxMessageBytes: BigInt(sizes.maxMessageBytes),
    maxResultBytes: BigInt(sizes.maxResultBytes),
    protocolVersion: PROTOCOL_VERSION,
    features: takesLogs ? [...FEATURES, TASK_LOGS] : [...FEATURES],
    ...(operatorPause ? { pause: { reason: operatorPause.reason } } : {}),
  };
}

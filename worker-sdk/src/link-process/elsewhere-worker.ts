/** A worker whose handlers are in another process, as its engine and its connection see it. */
import type { ElsewhereHandler } from "../attempt/elsewhere.ts";
import type { ReadTurns } from "../link/link.ts";
import type { FromLink, StartupPhaseMessage } from "../link/messages.ts";
import type { LinkData } from "../link/thread-data.ts";

/** What an engine needs of it. */
export interface ElsewhereWorker {
  readonly process: NonNullable<LinkData["elsewhere"]>;
  readonly handler: ElsewhereHandler;
  /** Phases that were reported before the engine was made. */
  readonly earlierPhases: readonly StartupPhaseMessage[];
  readonly turns: ReadTurns;
  /** The scheduler has registered it. */
  welcomed(message: Extract<FromLink, { kind: "registered" }>): void;
  /** An operator has paused it, or ends that. */
  paused(message: Extract<FromLink, { kind: "pause" | "resume" }>): void;
  draining(reason: string, timeoutS: number): void;
}

/** Passes what happens to a worker on to its process, as lines. */
export function forwardTo(
  workerId: string,
  write: (line: { readonly kind: string } & Readonly<Record<string, unknown>>) => void,
): Pick<ElsewhereWorker, "welcomed" | "paused" | "draining"> {
  return {
    welcomed: ({ address, first, maxResultBytes, phaseWarningsMs }) =>
      write({
        kind: "welcome",
        worker_id: workerId,
        scheduler: address,
        first,
        ...(maxResultBytes > 0 ? { max_result_bytes: maxResultBytes } : {}),
        phase_warnings_s: Object.fromEntries(
          Object.entries(phaseWarningsMs).map(([phase, ms]) => [phase, ms / 1_000]),
        ),
      }),
    paused: ({ kind, reason }) => write({ kind, reason, by: "operator" }),
    draining: (reason, timeoutS) => write({ kind: "drain", reason, timeout_s: timeoutS }),
  };
}

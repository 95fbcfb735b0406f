/** Sends a fatal report on a connection of its own. */
import { create } from "@bufbuild/protobuf";
import { RunningAttemptSchema } from "@muster/protocol";
import { systemClock } from "../../clock.ts";
import type { FatalMessage } from "../messages.ts";
import type { LinkData } from "../thread-data.ts";
import { Dialer } from "./dialer.ts";
import { FatalSender } from "./fatal-sender.ts";
import { buildHello } from "./hello.ts";

/** The last report of a worker. */
export interface LastReport {
  readonly fatal: FatalMessage;
  /** Ids of the attempts in flight. */
  readonly inFlight: readonly string[];
  readonly ready: boolean;
}

/**
 * Reports a fatal error from the main thread over a connection of its own, because the link's thread is dead or
 * hangs. For the scheduler it is a reconnect of the session: it records the error and requeues the session's attempts
 * at once.
 *
 * @returns False when the scheduler has not taken it within `timeoutMs`.
 */
export function dialFatal(
  data: Omit<LinkData, "shared">,
  { fatal, inFlight, ready }: LastReport,
  timeoutMs: number,
): Promise<boolean> {
  return new Promise((resolve) => {
    let over = false;
    const end = (taken: boolean): void => {
      over = true;
      cancel();
      dialer.stop();
      dialer.stream?.cut("the worker ends");
      resolve(taken);
    };
    const cancel = systemClock.after(timeoutMs, () => end(false));
    const dialer = new Dialer(data, systemClock, {
      dialing() {},
      hello: (lastError) =>
        buildHello(data, {
          resources: data.resources,
          inFlight: inFlight.map((attemptId) => create(RunningAttemptSchema, { attemptId })),
          phases: data.startupPhases,
          lastError: lastError || fatal.exceptionMessage,
          limits: {},
          ready,
          draining: true,
        }),
      welcome() {},
      message() {},
      writable() {},
      down() {},
      ended: (streamEnd) => {
        if (!over) report.streamEnded(streamEnd);
      },
      disconnected() {},
      verdict() {},
      superseded() {},
    });
    const report = new FatalSender(systemClock, dialer, {
      unsentPhases: () => [],
      pendingResults: () => 0,
      answered: end,
    });
    report.send(fatal);
  });
}

import { create } from "@bufbuild/protobuf";
import { RunningAttemptSchema } from "@muster/protocol";
import { systemClock } from "../../clock.ts";
import type { FatalMessage, LinkData } from "../messages.ts";
import { Dialer } from "./dialer.ts";
import { FatalSender } from "./fatal-sender.ts";
import { buildHello } from "./hello.ts";

/** What is left to report. */
export interface LastReport {
  readonly fatal: FatalMessage;
  /** Attempts that the worker holds, by id. */
  readonly inFlight: readonly string[];
  readonly ready: boolean;
}

/**
 * Reports a fatal error from the main thread, over a connection made for it, because the link's thread can
 * report nothing any more. The scheduler takes it for the session's own reconnect: the error is recorded, and
 * what the session held is requeued at once.
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
    const report = new FatalSender(systemClock, dialer, { unsentPhases: () => [], answered: end });
    report.send(fatal);
  });
}

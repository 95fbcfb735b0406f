// A request of a handler to pause a rate limit key, checked.

import type { KeyPauseRequest } from "@muster/protocol";
import type { AskedPause } from "../../../../dispatch/admission/key-pauser.ts";
import { MAX_PAUSE_MS } from "../../../../domain/tasks/limits/rate-limit.ts";
import { storable } from "../../values/text.ts";
import { durationFault, toMs } from "../../values/time.ts";
import { keyFault } from "../limits/concurrency.ts";
import { toAttemptKey } from "./attempt-report.ts";

/** What is wrong with the length of a pause; undefined when nothing is. */
export function pauseFault(duration: KeyPauseRequest["duration"]): string | undefined {
  if (!duration) return "is not set; give the time that the pause lasts";
  const fault = durationFault(duration, MAX_PAUSE_MS);
  if (fault !== undefined) return fault;
  return toMs(duration) === 0 ? "is 0 s; give a longer time" : undefined;
}

/** The pause that a handler asks for, or what is wrong with it. */
export function toAskedPause(request: KeyPauseRequest): AskedPause | { readonly error: string } {
  const { attemptId, key, duration, reason } = request;
  const wrongKey = keyFault(key);
  if (wrongKey !== undefined) return { error: `key ${wrongKey}` };
  const wrongTime = pauseFault(duration);
  if (wrongTime !== undefined) return { error: `duration ${wrongTime}` };
  const said = storable(reason, 1_024) || "asked by a handler";
  return { attempt: toAttemptKey(attemptId), key, ms: toMs(duration) ?? 0, reason: said };
}

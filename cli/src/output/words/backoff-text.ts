/** Writes the waits before retries as commands take them. */
import type { FixedBackoff } from "@muster/protocol";
import type { Backoff } from "../../arguments/tasks/backoff.ts";
import { durationText } from "./duration-text.ts";

/** `1m,5m,30m`. */
export function delaysText({ delays }: Pick<FixedBackoff, "delays">): string {
  return delays.map(durationText).join(",");
}

/** `1m,5m,30m`, or `1s,factor=2,max=1h`; empty without any. */
export function backoffText(backoff: Backoff): string {
  switch (backoff.case) {
    case "fixed":
      return delaysText(backoff.value);
    case "exponential": {
      const { initialDelay, factor, maxDelay, jitter } = backoff.value;
      const parts = [
        durationText(initialDelay),
        ...(factor === 0 ? [] : [`factor=${factor}`]),
        ...(maxDelay === undefined ? [] : [`max=${durationText(maxDelay)}`]),
        ...(jitter === 0 ? [] : [`jitter=${jitter}`]),
      ];
      return parts.join(",");
    }
    default:
      return "";
  }
}

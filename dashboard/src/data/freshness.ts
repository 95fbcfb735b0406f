/** Whether the scheduler answers, and how old what the page shows is. */
import { useSyncExternalStore } from "react";
import { wallClock } from "./clock.ts";

export interface Freshness {
  /** Of the last answer, milliseconds since the epoch; undefined before the first. */
  readonly answeredAt: number | undefined;
  /** Since when calls fail; undefined while they are answered. */
  readonly failingSince: number | undefined;
  /** What the last failed call said. */
  readonly problem: string;
}

let state: Freshness = { answeredAt: undefined, failingSince: undefined, problem: "" };
const listeners = new Set<() => void>();

function set(next: Freshness): void {
  state = next;
  for (const listener of listeners) listener();
}

export function answered(): void {
  set({ answeredAt: wallClock.now(), failingSince: undefined, problem: "" });
}

export function failed(problem: string): void {
  set({ ...state, failingSince: state.failingSince ?? wallClock.now(), problem });
}

export function useFreshness(): Freshness {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => state,
  );
}

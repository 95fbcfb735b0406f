/** How the state of a worker is shown. */
import { WorkerState } from "@muster/protocol";

/** A word, and how it is meant. */
export interface Look {
  readonly word: string;
  readonly tone: "good" | "warn" | "bad" | "info" | "plain";
}

const LOOKS: Readonly<Record<WorkerState, Look>> = {
  [WorkerState.UNSPECIFIED]: { word: "unknown", tone: "plain" },
  [WorkerState.LAUNCHING]: { word: "launching", tone: "info" },
  [WorkerState.CONNECTING]: { word: "connecting", tone: "info" },
  [WorkerState.REGISTERED]: { word: "registered", tone: "info" },
  [WorkerState.READY]: { word: "ready", tone: "good" },
  [WorkerState.DRAINING]: { word: "draining", tone: "warn" },
  [WorkerState.SUSPECT]: { word: "suspect", tone: "bad" },
  [WorkerState.LOST]: { word: "lost", tone: "bad" },
  [WorkerState.GONE]: { word: "gone", tone: "plain" },
  [WorkerState.REFUSED]: { word: "refused", tone: "bad" },
};

export function workerLook(state: WorkerState): Look {
  return LOOKS[state] ?? LOOKS[WorkerState.UNSPECIFIED];
}

/** The messages between the bench and its producers and workers. */
import type { RatedTraffic } from "./traffic.ts";

/** What the bench asks of a producer or worker process. */
export type AgentRequest =
  | {
      readonly do: "open";
      readonly driver: string;
      readonly role: "producer" | "worker";
      readonly target: string;
      readonly settings: Readonly<Record<string, number>>;
    }
  /** In bulk, as the system is fastest. */
  | { readonly do: "submit"; readonly count: number; readonly payloadBytes: number }
  /** Tasks at an even rate, each sent at its time whether or not earlier ones were answered. */
  | ({ readonly do: "submit-at-rate" } & RatedTraffic)
  /** Callers that each submit one task after another. */
  | {
      readonly do: "submit-from-callers";
      readonly callers: number;
      readonly forMs: number;
      readonly payloadBytes: number;
    }
  | { readonly do: "resume" }
  | { readonly do: "pause" }
  /** Forgets what was counted. */
  | { readonly do: "reset" }
  | { readonly do: "handled"; readonly withLatencies: boolean }
  | { readonly do: "close" };

/** What a worker process counted since `reset`. Times are those of `monotonicMs`. */
export interface Handled {
  readonly count: number;
  /** When the first handler began; 0 before. */
  readonly firstAt: number;
  /** Submit to handler start of tasks that say when they were submitted, milliseconds. */
  readonly latenciesMs: readonly number[];
}

/** The answer to a request. */
export interface AgentReply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** What the bench asks of a producer or worker process. */
export type AgentRequest =
  | {
      readonly do: "open";
      readonly driver: string;
      readonly role: "producer" | "worker";
      readonly target: string;
      readonly settings: Readonly<Record<string, number>>;
    }
  /** Answers how long it took, `{ ms }`. */
  | { readonly do: "submit"; readonly count: number; readonly payloadBytes: number }
  /** Single tasks at an even rate, each sent at its time whether or not earlier ones were answered. */
  | {
      readonly do: "submit-at-rate";
      readonly count: number;
      readonly perSecond: number;
      readonly payloadBytes: number;
    }
  /** Callers that each submit one task after another. */
  | {
      readonly do: "submit-from-callers";
      readonly callers: number;
      readonly forMs: number;
      readonly payloadBytes: number;
    }
  | { readonly do: "resume" }
  | { readonly do: "pause" }
  /** Forgets what was counted; `expected` is what `wait` waits for. */
  | { readonly do: "reset"; readonly expected: number }
  | { readonly do: "handled"; readonly withLatencies?: boolean }
  /** Answers when this process has begun `expected` handlers. */
  | { readonly do: "wait" }
  | { readonly do: "close" };

/** What a worker process counted since `reset`. Times are those of `monotonicMs`. */
export interface Handled {
  readonly count: number;
  readonly firstAt: number;
  readonly lastAt: number;
  /** Submit to handler start of tasks that say when they were submitted, milliseconds. */
  readonly latenciesMs: readonly number[];
}

/** The answer to a request. */
export interface AgentReply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

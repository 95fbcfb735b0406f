/** The variants of which the cost of the SDK is measured. */
import type { StackPlan } from "../../workers/stack.ts";

/** What is switched or changed; the first one is what the others are compared with. */
export interface Variant {
  readonly key: string;
  readonly label: string;
  readonly plan: StackPlan;
  /** Explanations are asked for during the drain. */
  readonly explain?: boolean;
  /** A client follows the feed of events. */
  readonly watch?: boolean;
  /** Scheduler and worker export spans. */
  readonly tracing?: boolean;
}

const WITHOUT_EVENTS = new URL("../../sdk-cost/without-events.ts", import.meta.url).href;

/** In this order in the table. */
export const VARIANTS: readonly Variant[] = [
  { key: "usual", label: "as it is: events kept, tracing off, no explanations asked for", plan: {} },
  {
    key: "no-events",
    label: "without events (cut out of the statements)",
    plan: { schedulerExecArgv: ["--import", WITHOUT_EVENTS] },
  },
  { key: "watch", label: "a client follows the events", plan: {}, watch: true },
  { key: "explain", label: "explanations asked for 20 times a second", plan: {}, explain: true },
  {
    key: "tracing",
    label: "tracing at 1 % sampling",
    plan: { tracedOneIn: 100 },
    tracing: true,
  },
  { key: "phases", label: "handlers with two phases", plan: { handler: "phases" } },
  { key: "progress", label: "handlers with three reports of progress", plan: { handler: "progress" } },
  { key: "slots-10", label: "10 slots, none ahead", plan: { concurrency: 10, prefetch: 0 } },
  { key: "slots-1", label: "1 slot, none ahead", plan: { concurrency: 1, prefetch: 0 } },
];

import { hash, randomBytes } from "node:crypto";

/**
 * Random ids, but for the spans of a run, whose ids the scheduler can work out too. `@muster/worker/otel` uses
 * it; an SDK that is set up otherwise should be given it as its `idGenerator`.
 */
export class SpanIds {
  #given: string | undefined;

  /** Runs `start`, whose one new span gets this id. */
  give<T>(spanId: string | undefined, start: () => T): T {
    this.#given = spanId;
    try {
      return start();
    } finally {
      this.#given = undefined;
    }
  }

  generateTraceId(): string {
    return randomBytes(16).toString("hex");
  }

  generateSpanId(): string {
    return this.#given ?? randomBytes(8).toString("hex");
  }
}

/** The process's ids. */
export const spanIds = new SpanIds();

/** Id of a run's or a phase's span; the scheduler works it out in the same way. */
export function childId(parentSpanId: string, name: string): string {
  return hash("sha256", `${parentSpanId}/${name}`).slice(0, 16);
}

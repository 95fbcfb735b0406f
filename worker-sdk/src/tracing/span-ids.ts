import { hash, randomBytes } from "node:crypto";

/**
 * Generates random ids, except for the spans of a run, whose ids the scheduler derives as well. `@muster/worker/otel`
 * uses it; pass it as the `idGenerator` of an SDK that is set up otherwise.
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

/** Id generator of the process, for the `idGenerator` of an OpenTelemetry SDK. */
export const spanIds = new SpanIds();

/** Id of the span of a run or a phase; the scheduler derives it in the same way. */
export function childId(parentSpanId: string, name: string): string {
  return hash("sha256", `${parentSpanId}/${name}`).slice(0, 16);
}

/** An id generator that gives the next span chosen ids. */
import { hash, randomBytes } from "node:crypto";

/** Ids that the next span gets; a missing one is random. */
export interface GivenIds {
  readonly traceId?: string | undefined;
  readonly spanId: string;
}

/** Generates random ids, except for spans whose ids another process derives as well. */
export class SpanIds {
  #given: GivenIds | undefined;

  /** Runs `start`, whose one new span gets these ids. */
  give<T>(ids: GivenIds | undefined, start: () => T): T {
    this.#given = ids;
    try {
      return start();
    } finally {
      this.#given = undefined;
    }
  }

  generateTraceId(): string {
    return this.#given?.traceId ?? randomBytes(16).toString("hex");
  }

  generateSpanId(): string {
    return this.#given?.spanId ?? randomBytes(8).toString("hex");
  }
}

/** Id of the span of a run or a phase, which worker and scheduler both derive from the parent's. */
export function childSpanId(parentSpanId: string, name: string): string {
  return hash("sha256", `${parentSpanId}/${name}`).slice(0, 16);
}

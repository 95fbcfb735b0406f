/** Marks spans as failed. */
import type { Span } from "@opentelemetry/api";
import { SpanStatusCode } from "@opentelemetry/api";
import { readThrown } from "../attempt/failure/thrown.ts";

/** Marks a span as failed. @param type For `error.type`. */
export function fail(span: Span, type: string, message: string): void {
  span.setAttribute("error.type", type);
  span.setStatus({ code: SpanStatusCode.ERROR, message });
}

/** Message of a thrown value. */
export function messageOf(error: unknown): string {
  return readThrown(error).message;
}

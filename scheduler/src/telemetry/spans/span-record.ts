/** A span that is complete when it is written. */
import type { TraceParent } from "@muster/common/tracing/trace-context";

/** A span that is complete when it is written. Times are milliseconds since the epoch. */
export interface SpanRecord {
  readonly name: string;
  readonly kind: "internal" | "client" | "consumer";
  /** Undefined: the root of its trace. */
  readonly parent: TraceParent | undefined;
  /** Undefined: a new id in its parent's trace. */
  readonly self?: TraceParent;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, string | number | undefined>>;
  readonly events?: readonly {
    readonly name: string;
    readonly atMs: number;
    readonly attributes?: Readonly<Record<string, string>>;
  }[];
  readonly links?: readonly {
    readonly to: TraceParent;
    readonly attributes: Readonly<Record<string, string>>;
  }[];
  /** Set when it ended badly; `type` becomes `error.type`. */
  readonly error?: { readonly type: string; readonly message: string } | undefined;
}

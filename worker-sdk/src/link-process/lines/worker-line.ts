/** The lines of a worker, version 1: docs/link.md has every field. */
import { PHASE_NAME } from "@muster/common/text/name-forms";
import { Fields, isObject } from "./fields.ts";
import { type HelloLine, readHello, readPeer, type WorkerPeer } from "./hello-line.ts";
import { rawMember } from "./raw-member.ts";

/** The version that this link speaks, and the oldest that it understands. */
export const LINK_VERSION = 1;
export const MIN_LINK_VERSION = 1;

/** Longest line in bytes. */
export const MAX_LINE = 1024 * 1024;

/** A value of a line: JSON as it is written, bytes, or a file that holds either. */
export type LineValue =
  | { readonly form: "json"; readonly text: string }
  | { readonly form: "bytes"; readonly bytes: Uint8Array }
  | { readonly form: "file"; readonly path: string };

/** A report of an attempt. */
export type AttemptLine = { readonly attempt: string } & (
  | { readonly kind: "start"; readonly pid: number | undefined }
  | {
      readonly kind: "phase_start";
      readonly name: string;
      readonly warnAfterS: number | undefined;
      readonly timeoutS: number | undefined;
    }
  | { readonly kind: "phase_end"; readonly name: string | undefined; readonly failed: boolean }
  | {
      readonly kind: "progress";
      readonly fraction: number | undefined;
      readonly done: number | undefined;
      readonly total: number | undefined;
      readonly unit: string | undefined;
      readonly message: string | undefined;
    }
  | { readonly kind: "output"; readonly data: string | Uint8Array }
  | {
      readonly kind: "log";
      readonly level: "debug" | "info" | "warn" | "error";
      readonly message: string;
      readonly fields: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: "warning"; readonly code: string; readonly message: string; readonly step: string }
  | { readonly kind: "expect"; readonly quietForS: number; readonly reason: string }
  | { readonly kind: "metric"; readonly name: string; readonly amount: number }
  | { readonly kind: "fact"; readonly name: string; readonly value: string | number | boolean }
  | { readonly kind: "checkpoint"; readonly request: number; readonly value: LineValue }
  | { readonly kind: "scratch"; readonly request: number }
  | {
      readonly kind: "artifact";
      readonly request: number;
      readonly name: string;
      readonly file: string;
      readonly contentType: string | undefined;
    }
  | ({ readonly kind: "result" } & ResultLine)
);

/** The outcome that a worker reports. */
export type ResultLine =
  | {
      readonly outcome: "succeeded";
      readonly output: LineValue;
      readonly contentType: string | undefined;
    }
  | {
      readonly outcome: "failed";
      readonly failureClass: "retryable" | "non_retryable" | "timed_out" | "out_of_memory";
      readonly code: string;
      readonly message: string;
      readonly traceback: string;
      readonly retryAfterS: number | undefined;
      readonly details: Readonly<Record<string, unknown>> | undefined;
    }
  | { readonly outcome: "cancelled"; readonly message: string }
  | { readonly outcome: "released"; readonly reason: string };

/** A line of a worker. */
export type WorkerLine =
  | ({ readonly kind: "open" } & WorkerPeer)
  | ({ readonly kind: "hello" } & HelloLine)
  | {
      readonly kind: "phase";
      readonly name: string;
      readonly outcome: "started" | "ok" | "failed" | undefined;
      readonly detail: string;
      readonly attributes: Readonly<Record<string, string>>;
    }
  | { readonly kind: "ready" }
  | { readonly kind: "tick" }
  | AttemptLine
  | {
      readonly kind: "resource";
      readonly name: string;
      readonly state: "loaded" | "released" | "failed";
      readonly error: string;
    }
  | { readonly kind: "pause" | "resume" | "drain"; readonly reason: string }
  | {
      readonly kind: "fatal";
      readonly message: string;
      readonly className: string;
      readonly traceback: string;
      readonly attempt: string | undefined;
    };

/** Why a line is skipped. */
export interface LineFault {
  readonly code: "NOT_JSON" | "INVALID_FIELD" | "INVALID_HELLO" | "VERSION_MISMATCH";
  readonly message: string;
  /** Of a result with a fault: its attempt ends as failed. */
  readonly attempt?: string;
}

/** A line, a fault, or undefined for a kind that this version does not know. */
export type ParsedLine = { readonly line: WorkerLine } | { readonly fault: LineFault } | undefined;

/** Reads a line of a worker. Never throws. */
export function parseWorkerLine(text: string): ParsedLine {
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch {
    // The parser's message quotes the line, which may hold secrets.
    return { fault: { code: "NOT_JSON", message: `the line (${text.length} characters) is no JSON` } };
  }
  if (!isObject(values) || typeof values.kind !== "string")
    return { fault: { code: "NOT_JSON", message: "the line is no JSON object with a string `kind`" } };
  const { kind } = values;
  const fields = new Fields(values);
  const line = read(kind, fields, text);
  if (line === undefined) return undefined;
  const version = line.kind === "open" || line.kind === "hello" ? line.version : LINK_VERSION;
  if (version < MIN_LINK_VERSION || version > LINK_VERSION)
    return {
      fault: {
        code: "VERSION_MISMATCH",
        message: `${kind}: version ${version} of the protocol is not spoken here; this link speaks ${MIN_LINK_VERSION === LINK_VERSION ? `version ${LINK_VERSION}` : `${MIN_LINK_VERSION} to ${LINK_VERSION}`}`,
      },
    };
  if (fields.faults.length === 0) return { line };
  const message = `${kind}: ${fields.faults.join("; ")}`;
  if (kind === "hello" || kind === "open") return { fault: { code: "INVALID_HELLO", message } };
  const attempt = fields.raw("attempt");
  return {
    fault: {
      code: "INVALID_FIELD",
      message,
      ...(kind === "result" && typeof attempt === "string" ? { attempt } : {}),
    },
  };
}

function read(kind: string, fields: Fields, text: string): WorkerLine | undefined {
  switch (kind) {
    case "open":
      return { kind, ...readPeer(fields) };
    case "hello":
      return { kind, ...readHello(fields) };
    case "ready":
    case "tick":
      return { kind };
    case "phase":
      return {
        kind,
        name: fields.need("name", fields.name("name", 128), ""),
        outcome: fields.oneOf("outcome", ["started", "ok", "failed"]),
        detail: fields.text("detail") ?? "",
        attributes: fields.record<string>("attributes", "string", 20) ?? {},
      };
    case "pause":
    case "resume":
    case "drain":
      return { kind, reason: fields.text("reason", 1_024) ?? "" };
    case "resource":
      return {
        kind,
        name: fields.need("name", fields.name("name"), ""),
        state: fields.need("state", fields.oneOf("state", ["loaded", "released", "failed"]), "failed"),
        error: fields.text("error", 1_000) ?? "",
      };
    case "fatal":
      return {
        kind,
        message: fields.need("message", fields.text("message"), ""),
        className: fields.text("class", 256) ?? "Error",
        traceback: fields.text("traceback", 64 * 1024) ?? "",
        attempt: fields.name("attempt"),
      };
    default:
      return readReport(kind, fields, text);
  }
}

function readReport(kind: string, fields: Fields, text: string): AttemptLine | undefined {
  const report = readFields(kind, fields, text);
  return report && { attempt: fields.need("attempt", fields.name("attempt"), ""), ...report };
}

type Report = AttemptLine extends infer Line
  ? Line extends AttemptLine
    ? Omit<Line, "attempt">
    : never
  : never;

function readFields(kind: string, fields: Fields, text: string): Report | undefined {
  switch (kind) {
    case "start":
      return { kind, pid: fields.integer("pid", 1, 2 ** 31 - 1) };
    case "phase_start":
      return {
        kind,
        name: phaseName(fields, fields.need("name", fields.name("name", 64), "")),
        warnAfterS: fields.seconds("warn_after_s"),
        timeoutS: fields.seconds("timeout_s"),
      };
    case "phase_end":
      return { kind, name: fields.name("name", 64), failed: fields.flag("failed") };
    case "progress": {
      const fraction = fields.number("fraction", 0, 1);
      const done = fields.number("done", 0);
      if (fraction === undefined && done === undefined && fields.faults.length === 0)
        fields.faults.push("fraction, done: both are missing; give one");
      return {
        ...{ kind, fraction, done },
        total: fields.number("total", 0),
        unit: fields.text("unit", 64),
        message: fields.text("message", 256),
      };
    }
    case "output":
      return {
        kind,
        data: fields.need("data", fields.text("data", MAX_LINE) ?? fields.base64("data_b64"), ""),
      };
    case "log":
      return {
        kind,
        level: fields.oneOf("level", ["debug", "info", "warn", "error"]) ?? "info",
        message: fields.need("message", fields.text("message", 8 * 1024), ""),
        fields: fields.object("fields") ?? {},
      };
    case "warning":
      return {
        kind,
        code: fields.need("code", fields.name("code", 64), ""),
        message: fields.need("message", fields.text("message"), ""),
        step: fields.text("step", 64) ?? "",
      };
    case "expect":
      return {
        kind,
        quietForS: fields.need("quiet_for_s", fields.seconds("quiet_for_s"), 1),
        reason: fields.text("reason", 256) ?? "",
      };
    case "metric":
      return {
        kind,
        name: fields.need("name", fields.name("name", 64), ""),
        amount: fields.need("amount", fields.number("amount", 0), 0),
      };
    case "fact":
      return { kind, name: fields.need("name", fields.name("name", 64), ""), value: factValue(fields) };
    case "checkpoint":
      return { kind, request: requestOf(fields), value: lineValue(fields, "value", text) };
    case "scratch":
      return { kind, request: requestOf(fields) };
    case "artifact":
      return {
        kind,
        request: requestOf(fields),
        name: fields.need("name", fields.name("name"), ""),
        file: fields.need("file", fields.name("file", 4_096), ""),
        contentType: fields.name("content_type"),
      };
    case "result":
      return { kind, ...resultOf(fields, text) };
    default:
      return undefined;
  }
}

function resultOf(fields: Fields, text: string): ResultLine {
  const outcomes = ["succeeded", "failed", "cancelled", "released"] as const;
  const outcome = fields.need("outcome", fields.oneOf("outcome", outcomes), "released");
  switch (outcome) {
    case "succeeded":
      return {
        outcome,
        output: lineValue(fields, "output", text),
        contentType: fields.name("content_type"),
      };
    case "failed":
      return {
        outcome,
        failureClass:
          fields.oneOf("class", ["retryable", "non_retryable", "timed_out", "out_of_memory"]) ?? "retryable",
        code: fields.text("code", 128) ?? "ERROR",
        message: fields.text("message") ?? "",
        traceback: fields.text("traceback", 64 * 1024) ?? "",
        retryAfterS: fields.seconds("retry_after_s"),
        details: fields.object("details"),
      };
    case "cancelled":
      return { outcome, message: fields.text("message") ?? "" };
    case "released":
      return { outcome, reason: fields.text("reason", 256) ?? "" };
    default:
      return outcome satisfies never;
  }
}

function lineValue(fields: Fields, name: string, text: string): LineValue {
  const given = [name, `${name}_b64`, `${name}_file`].filter((each) => fields.has(each));
  if (given.length > 1) fields.faults.push(`${given.join(", ")}: give one of them`);
  const bytes = fields.base64(`${name}_b64`);
  if (bytes !== undefined) return { form: "bytes", bytes };
  const path = fields.name(`${name}_file`, 4_096);
  if (path !== undefined) return { form: "file", path };
  return { form: "json", text: rawMember(text, name) ?? "null" };
}

function requestOf(fields: Fields): number {
  return fields.need("request", fields.integer("request", 1, 2 ** 31 - 1), 0);
}

function phaseName(fields: Fields, name: string): string {
  if (name !== "" && !PHASE_NAME.test(name)) fields.faults.push(`name: must match ${PHASE_NAME.source}`);
  return name;
}

function factValue(fields: Fields): string | number | boolean {
  const value = fields.raw("value");
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  fields.faults.push("value: is not a string, a number or a boolean");
  return "";
}

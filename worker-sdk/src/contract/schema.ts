/** Validates values with Standard Schemas, and describes what does not fit. */
import type { StandardSchemaV1 } from "@standard-schema/spec";

/** Any Standard Schema (zod, valibot, arktype, ...). */
export type Schema = StandardSchemaV1;

/** What a value must be before its schema has read it: what a sender gives. */
export type SchemaInput<S extends Schema> = StandardSchemaV1.InferInput<S>;

/** What a schema makes of a value: what a receiver gets. */
export type SchemaOutput<S extends Schema> = StandardSchemaV1.InferOutput<S>;

/** A part of a value that does not fit its schema. */
export interface SchemaIssue {
  /** Where it is, for example `pages.0.width`; empty for the value itself. */
  readonly path: string;
  /** What the schema says about it. */
  readonly message: string;
}

/** A value that was checked: what the schema made of it, or what does not fit. */
export type Checked =
  | { readonly value: unknown; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** Issues that an error lists. */
const MAX_ISSUES = 10;

/** True for what has the form of a Standard Schema; those of arktype are functions. */
export function isSchema(value: unknown): value is Schema {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  return typeof (value as Partial<Schema>)["~standard"]?.validate === "function";
}

/**
 * Validates a value. The answer is a promise only when the schema's is.
 *
 * @throws what the schema throws.
 */
export function check(schema: Schema, value: unknown): Checked | Promise<Checked> {
  const result = schema["~standard"].validate(value);
  return result instanceof Promise ? result.then(readResult) : readResult(result);
}

/** The issues as one text: the first ten, and how many more there are. */
export function describeIssues(issues: readonly SchemaIssue[]): string {
  const shown = issues
    .slice(0, MAX_ISSUES)
    .map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
  const more = issues.length > shown.length ? ` (and ${issues.length - shown.length} more)` : "";
  return `${shown.join("; ")}${more}`;
}

function readResult(result: StandardSchemaV1.Result<unknown>): Checked {
  if (result.issues === undefined) return { value: result.value };
  return {
    issues: result.issues.map(({ path = [], message }) => ({
      path: path.map((part) => String(typeof part === "object" ? part.key : part)).join("."),
      message,
    })),
  };
}

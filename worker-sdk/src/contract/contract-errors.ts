/** Errors of values that do not fit the schema of a task. */
import { describeIssues, type SchemaIssue } from "./schema.ts";

/**
 * Thrown by a submit: the input does not fit the schema of the task. Nothing was submitted.
 *
 * @example
 * ```ts
 * if (error instanceof InvalidPayloadError) return badRequest(error.issues);
 * ```
 */
export class InvalidPayloadError extends Error {
  override readonly name = "InvalidPayloadError";
  /** The code that a worker reports for such an input. */
  readonly code = "INVALID_PAYLOAD";
  /** Type of the task. */
  readonly taskType: string;
  /** What does not fit, with its path; in a submit of several tasks the path begins with the index. */
  readonly issues: readonly SchemaIssue[];

  constructor(taskType: string, issues: readonly SchemaIssue[], remedy = "") {
    super(
      `Task ${taskType}: the input does not fit its schema: ${describeIssues(issues)}${remedy && `; ${remedy}`}`,
    );
    this.taskType = taskType;
    this.issues = issues;
  }
}

/** Thrown by a wait for the result: the task succeeded with a result that does not fit the caller's schema. */
export class InvalidResultError extends Error {
  override readonly name = "InvalidResultError";
  /** The code that a worker reports for such a result. */
  readonly code = "INVALID_RESULT";
  /** Id of the task. */
  readonly taskId: string;
  /** Type of the task. */
  readonly taskType: string;
  /** What does not fit, with its path. */
  readonly issues: readonly SchemaIssue[];

  constructor(taskId: string, taskType: string, issues: readonly SchemaIssue[]) {
    super(
      `Task ${taskId} (${taskType}) succeeded with a result that does not fit the schema of this program: ` +
        `${describeIssues(issues)}; its worker may have another version of the definition`,
    );
    this.taskId = taskId;
    this.taskType = taskType;
    this.issues = issues;
  }
}

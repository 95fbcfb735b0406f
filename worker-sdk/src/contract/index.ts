/**
 * Task types with their schemas, errors and options, for handlers and callers.
 *
 * @module @muster/worker/task
 */

// First: nothing else of this package is evaluated on a Node that lacks what it uses.
import "../node-version.ts";

export { OptionsError } from "../options/options-error.ts";
export type { PhaseDeclaration, PhaseDeclarations } from "../options/task-types/phase-declarations.ts";
export { InvalidPayloadError, InvalidResultError } from "./contract-errors.ts";
export type {
  DeclaredErrorArguments,
  DeclaredErrorOptions,
  DetailsOf,
  ErrorDeclaration,
  ErrorDeclarations,
} from "./declared-errors.ts";
export { type ContractOptions, defineTask } from "./define-task.ts";
export type { Schema, SchemaInput, SchemaIssue, SchemaOutput } from "./schema.ts";
export {
  type ContractParts,
  type DeclaredFailure,
  type DeclaredFailures,
  type InputArguments,
  type RunOptions,
  type SubmitDefaults,
  TaskContract,
  type TaskSubmitter,
} from "./task-contract.ts";

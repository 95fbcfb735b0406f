/** Failures as the database keeps them: JSON, in which the failure's class has the name `class`. */
import type { Failure, FailureClass } from "../../../domain/tasks/outcome/failure.ts";

/** The JSON of a failure. */
export interface StoredFailure extends Omit<Failure, "failureClass"> {
  readonly class: FailureClass;
}

export function toStoredFailure(failure: Failure): StoredFailure;
export function toStoredFailure(failure: Failure | undefined): StoredFailure | undefined;
export function toStoredFailure(failure: Failure | undefined): StoredFailure | undefined {
  if (failure === undefined) return undefined;
  const { failureClass, ...others } = failure;
  return { class: failureClass, ...others };
}

export function fromStoredFailure(stored: StoredFailure | null): Failure | undefined {
  if (stored === null) return undefined;
  const { class: failureClass, ...others } = stored;
  return { failureClass, ...others };
}

/** The handle of a task as JSON. */

/** A handle as `JSON.stringify` writes it. */
export interface StoredHandle {
  /** Id of the task. */
  readonly id: string;
}

/** The id of a task that is named by its id or by a stored handle. @throws TypeError when it is neither. */
export function idOf(handle: string | StoredHandle): string {
  const id = typeof handle === "string" ? handle : handle?.id;
  if (typeof id !== "string" || id === "")
    throw new TypeError(
      "handle() takes the id of a task, for example t-1042, or a handle as JSON.stringify wrote it.",
    );
  return id;
}

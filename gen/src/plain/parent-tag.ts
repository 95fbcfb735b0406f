/** The tag that links a task to the task that submitted it. */

const PREFIX = "parent:";

/** Tag of the children of a task: lists, filters and bulk operations by tags find them. */
export function parentTag(taskId: string): string {
  return `${PREFIX}${taskId}`;
}

/** The task that a task with these tags is a child of; undefined for none. */
export function parentOf(tags: readonly string[]): string | undefined {
  return tags.find((tag) => tag.startsWith(PREFIX))?.slice(PREFIX.length);
}

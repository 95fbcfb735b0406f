/** What to change before a failed task is retried, for the failure codes of the scheduler and the SDK. */
export function remedyFor(code: string | undefined, taskId: string): string {
  switch (code) {
    case "RESULT_TOO_LARGE":
      return "let the handler store the result elsewhere and return a reference to it, or raise the limit (--max-result at the scheduler)";
    case "TIMED_OUT":
      return `find out what took so long (its phases: muster events ${taskId}), or submit it with a longer timeout`;
    case "DEADLINE_BEFORE_START":
      return "add workers so that one is free in time, or submit it with a longer queue-wait timeout";
    case "OUT_OF_MEMORY":
      return "give its workers more memory (the container's or cgroup's limit, or node's --max-old-space-size), or let them run fewer attempts at once (WORKER_MAX_CONCURRENCY)";
    case "WORKER_LOST":
      return "find out why its workers were lost: run `muster why WORKER` for the worker of each attempt";
    default:
      return "fix the handler or its input";
  }
}

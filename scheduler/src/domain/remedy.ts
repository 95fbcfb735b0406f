/** What to mend, where the scheduler or the SDK made the code and so knows. */
export function cureOf(code: string | undefined, taskId: string): string {
  switch (code) {
    case "RESULT_TOO_LARGE":
      return "let the handler store the result elsewhere and return a reference to it, or raise the limit (--max-result at the scheduler)";
    case "TIMED_OUT":
      return `find out what took so long (its phases: muster events ${taskId}), or submit it with a longer timeout`;
    case "DEADLINE_BEFORE_START":
      return "see to it that workers are free in time, or submit it with a longer queue-wait timeout";
    case "OUT_OF_MEMORY":
      return "give its workers more memory (the container's or cgroup's limit, or node's --max-old-space-size), or let them run fewer attempts at once (WORKER_MAX_CONCURRENCY)";
    case "WORKER_LOST":
      return "find out why its workers were lost: each attempt's worker has its own account (muster why WORKER)";
    default:
      return "mend the cause in the handler or in what it was given";
  }
}

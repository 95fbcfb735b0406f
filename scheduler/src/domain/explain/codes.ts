/**
 * The codes of explanations: the type of `Reason.code`, and the tables of docs/explanations.md (written by
 * test/scripts/explanation-tables.ts, compared by a test).
 */

/** What a code means, and what a person can do; without `remedy` where the table has no such column. */
export interface CodeEntry {
  readonly means: string;
  readonly remedy?: string;
}

type Codes = Readonly<Record<string, CodeEntry>>;

/** A task that waits. */
export const WAITING_CODES = {
  TASK_HELD: {
    means: "an operator holds it back; shows who, why and since when",
    remedy: "`muster release ID`",
  },
  WAITING_FOR_TASKS: {
    means:
      "tasks that it depends on have not ended; shows each of them with its state, whether it is held, and since when it has been submitted",
    remedy:
      "it starts by itself when they have ended; `muster why ID` of the named one, `muster release ID` of one that is held",
  },
  SCHEDULED_FOR_LATER: {
    means:
      "it has a delay or a start time: of its submit, of an edit, or of a request that took it from its worker",
    remedy: "it starts by itself; `muster retry ID` starts it now",
  },
  ACCEPT_TIMED_OUT: {
    means:
      "a worker did not accept it within the accept deadline; shows how often, the last worker, and when it is assigned again. The wait grows from 1 s to 5 min",
    remedy: "check the log of the named worker",
  },
  WAITING_FOR_RETRY: {
    means: "an attempt failed and the backoff runs; the last error is in the evidence",
    remedy: "it runs again by itself; `muster retry ID` runs it now",
  },
  QUEUE_PAUSED: {
    means: "its queue is paused; shows the reason that was given",
    remedy: "`muster queue resume NAME`",
  },
  QUEUE_FULL: {
    means:
      "of a queue: as many tasks wait in it as its limit allows, and submits are refused; shows both numbers and who set the limit",
    remedy: "wait, add workers, or `muster queue limit NAME none`",
  },
  QUEUE_BUILD_RULE: {
    means:
      "of a queue: it binds its tasks, or a share of them, to a build; shows the builds, and who set it and why",
    remedy: "nothing while that is meant; `muster queue build NAME --clear` takes it back",
  },
  CONCURRENCY_KEY_HELD: {
    means:
      "as many tasks as its limit allows hold one of its concurrency keys; shows the limit, who set it, and the tasks that hold the key with their workers and since when",
    remedy:
      "it starts by itself when one of them ends; `muster why ID` of the holder, or `muster limit set KEY N` to raise the limit",
  },
  OLDER_TASK_FIRST: {
    means:
      "one of its concurrency keys starts its tasks in the order of their submission, and an older task that has the key waits; shows the key, that task, and why that one waits",
    remedy:
      "it starts by itself after the older task; do what that one needs, or `muster cancel ID` of that one",
  },
  NEVER_FITS: {
    means:
      "it costs more of a capacity than any known worker of its type, queue and labels has, or a combination that no single one has; workers that have gone are known for as long as they are recorded. Shows what it costs and the largest worker",
    remedy: "start a larger worker, or cancel the task and submit it with a lower cost",
  },
  RATE_LIMITED: {
    means:
      "the token bucket of one of its rate limits, or of its queue, is empty; shows the rate, who set it, when the next token comes, and how many tasks wait for one",
    remedy:
      "it starts by itself when there is a token for it; `muster rate-limits` lists the buckets, `muster rate-limit set KEY N/PERIOD` or `muster queue rate-limit NAME N/PERIOD` sets the rate",
  },
  KEY_PAUSED: {
    means: "a handler or an operator paused one of its rate limit keys; shows who asked, why, and until when",
    remedy: "it starts by itself when the pause has ended; `muster key resume KEY` ends it now",
  },
  CIRCUIT_OPEN: {
    means:
      "the tasks that share its circuit breaker have failed too often, or an operator opened the circuit; shows the counts, the last errors with their attempts, and when the first probe starts",
    remedy:
      "fix what the errors name; probes start by themselves and close the circuit; `muster circuit reset KEY` closes it now",
  },
  NO_WORKERS: {
    means: "no worker is connected; shows when the last one was seen and which were refused recently",
    remedy: "start a worker, or correct what the refused workers send",
  },
  NO_WORKER_FOR_TYPE: {
    means: "no worker has a handler for the type (similar names are shown), or none takes from the queue",
    remedy: "start a worker that does, or cancel the task and submit it with the right type",
  },
  NO_WORKER_MATCHES_LABELS: {
    means: "workers match except for a label; shows which values they have",
    remedy: "start a worker with the label, or submit without it",
  },
  NO_WORKER_FITS: {
    means:
      "workers match, but each has less of a capacity than the task costs; shows what they have, and a worker that has gone and had enough",
    remedy: "start a worker of that size",
  },
  RESOURCE_NOT_LOADED: {
    means:
      "workers match but have not loaded a resource that the task requires; shows which worker was asked how long ago, its progress, and why loading failed",
    remedy:
      "wait; fix what the error names; where no worker can load it, start one that has it or can load it",
  },
  BUILD_NOT_RUNNING: {
    means:
      "the rule of its queue (`muster queue build`) runs it on a build that none of the workers has; shows that build and theirs",
    remedy: "start a worker of that build, or `muster queue build QUEUE --clear`",
  },
  WORKERS_STARTING: {
    means:
      "workers that match are starting, or were launched and have not connected yet; shows the last phase of each, its age, the time left to register, and when it is usually ready, once three earlier starts are known. What a launched worker will serve is known when it registers; until then it is inferred from earlier workers of its id or pool, and the explanation states when there are none",
    remedy: "wait; `muster why WORKER` for one whose phase does not change",
  },
  WORKERS_FAILED_TO_START: {
    means:
      "launched workers ended badly and have not been started again; shows how each ended and when it is started again",
    remedy: "`muster why WORKER` has the cause and the last output",
  },
  WORKER_SUSPECT: {
    means: "the workers that match have stopped answering",
    remedy: "wait until the grace is over, or start another worker",
  },
  WORKERS_DRAINING: {
    means: "the workers that match are draining",
    remedy: "start a worker to replace them",
  },
  WORKERS_PAUSED: {
    means: "the workers that match have paused, or an operator paused them; shows why and since when",
    remedy: "check what uses their memory or CPU, or `muster worker resume ID`",
  },
  QUARANTINED: {
    means:
      "a worker that could run it failed far more often than its peers and is assigned single probes; shows both rates and the last errors",
    remedy: "wait for a place on another worker, or `muster why WORKER`",
  },
  ALL_SLOTS_BUSY: {
    means:
      "all slots that match are taken, or another capacity that the task costs, or workers have as much payload ahead as they take (`assignmentBytes`); shows by what, which capacity is short on which worker, and what goes first ([fairness.md](fairness.md))",
    remedy: "wait, or add workers",
  },
  RUNS_ALONE: {
    means:
      "worker processes died while the task ran and which task caused it is uncertain, so it runs next in a process without other tasks; or a worker that could run it is reserved for such a task. Shows which, and what it still holds",
    remedy: "wait, or start another worker",
  },
  MECHANISM_NOT_ACTING: {
    means:
      "its attempts have used up the retries of its policy, and the mode of `attempt_limits` keeps the scheduler from ending it; shows the mode and where it is set ([observe.md](observe.md))",
    remedy: "set the mode to `act`, or `muster cancel ID`",
  },
  DATABASE_UNAVAILABLE: {
    means:
      "PostgreSQL cannot be reached, is read-only, or a lock of another session blocks Muster; shows for how long, the last error or the holder of the lock, and what runs meanwhile",
    remedy: "restore PostgreSQL, or end the session that holds the lock; Muster continues by itself",
  },
  DISPATCH_DELAYED: {
    means:
      "a worker can take it: its assignment is next, older tasks go first, a lock in the database blocks the claim (the holder is shown), the worker is connected to another scheduler, or it left its last assignment unanswered",
    remedy: "follow the remedy; none is needed unless it lasts",
  },
} as const satisfies Codes;

/** A task that was assigned. */
export const ASSIGNED_CODES = {
  AWAITING_ACCEPT: {
    means:
      "the worker has not answered the assignment; shows the time left until the assignment is withdrawn",
    remedy: "none: after the accept deadline another worker gets it, and it costs no attempt",
  },
  AWAITING_START: {
    means: "the worker accepted it and has not reported the start of its handler",
    remedy: "it starts when a slot is free there; check the worker if it lasts",
  },
  RUNNING: {
    means: "shows phase, its age and progress",
    remedy:
      "none, unless its handler waits for a task that needs a slot of the same workers: the remedy says so when tasks do",
  },
  WAITING_FOR_TASKS: {
    means:
      "its handler waits without its slots for tasks that it runs with `ctx.run`; shows each with its state, since when, and why a queued one waits",
    remedy: "it goes on by itself when they have ended; `muster why ID` of the named one",
  },
  ALL_SLOTS_BUSY: {
    means:
      "what its handler waited for without its slots has ended, and others have these slots; shows which and for how long",
    remedy: "it goes on before any new task starts on its worker; `muster why ID` of a named one",
  },
  WAITING_FOR_BATCH: {
    means:
      "its worker gathers attempts for one call of a batch handler, or the calls that run there leave no room for another; shows how long, and the size of a full batch",
    remedy: "it starts by itself; more tasks fill the batch, a shorter `batch.waitMs` ends the wait earlier",
  },
  STUCK_IN_PHASE: {
    means:
      "it exceeds the threshold of its soft watchdog; shows phase, time, threshold, progress, and whether the loop is blocked",
    remedy: "it is not killed: check the worker's log; cancel it, or raise the threshold",
  },
  MISSING_AT_WORKER: {
    means: "the worker accepted it, and its heartbeats no longer list it",
    remedy: "it is requeued after a lease; look for a fault in the worker",
  },
  LOOP_BLOCKED: {
    means:
      "the worker sends heartbeats, but its main loop is blocked: it is alive, and the task keeps its attempt; shows the innermost frames of its stack, or that its interpreter is held",
    remedy: "move the computation to a thread; stop the named process if it never ends",
  },
  WORKER_SUSPECT: {
    means: "the worker that holds it has stopped answering",
    remedy: "the worker reconnects, or the task is requeued",
  },
  MECHANISM_NOT_ACTING: {
    means:
      "it would be requeued, because its worker is lost, did not accept it in time, or no longer lists it, and the mode of that mechanism keeps the scheduler from it; shows the mode and where it is set ([observe.md](observe.md))",
    remedy: "set the mode to `act`, or `muster revoke ID`",
  },
  CANCELLING: {
    means: "a cancellation was requested and the handler has not returned; it keeps its slot until it does",
    remedy:
      "let the handler observe `ctx.signal`; otherwise stop the named process, and the task is cancelled",
  },
  TIMING_OUT: {
    means:
      "its run timeout, or that of its phase, has expired and the handler has not returned; shows which, since when and for how long. It never ends as a success",
    remedy: "let the handler observe `ctx.signal`; otherwise stop the named process",
  },
  RESULT_PENDING: {
    means: "the handler has returned; the commit is due, or waits for a lock whose holder is shown",
    remedy: "none; end the session that holds the lock",
  },
} as const satisfies Codes;

/** A task that ended. */
export const ENDED_CODES = {
  SUCCEEDED: { means: "the work is done" },
  SUCCEEDED_WITH_WARNINGS: { means: "the work is done, but secondary steps failed; each is named" },
  FAILED: { means: "it failed with the code and message shown, and could not be retried" },
  DEPENDENCY_FAILED: {
    means:
      "it ended without having started, because a task that it waited for failed or was cancelled; shows that task with its end, and the first one of a chain",
  },
  POISONED: {
    means:
      "three worker processes died while it ran, the last one while it ran alone or as the worker itself reported; shows the workers and how each attempt ended",
  },
  BUDGET_EXHAUSTED: {
    means:
      "its attempts have begun as many iterations as its budget allows (`maxIterations`); shows the budget, the count and how each attempt ended",
  },
  RETRIES_EXHAUSTED: { means: "it failed as often as its retry policy allows; shows how each attempt ended" },
  CANCELLED: { means: "it was cancelled; shows by whom and why, as the caller gave it" },
  CONCURRENCY_LIMIT_REACHED: {
    means:
      "it ended with its submit, because as many tasks with one of its concurrency keys were open as the limit allows and the key has the policy `cancel_newest`; shows the key, the limit and the open tasks",
  },
  SUPERSEDED: {
    means:
      "a newer task took its place for a concurrency key with the policy `cancel_running`; shows the key and the newer task",
  },
} as const satisfies Codes;

/** A worker. */
export const WORKER_CODES = {
  WAITING_FOR_CONNECTION: {
    means:
      "launched and not registered yet; shows the last phase, its age, the last dial error and the time left",
  },
  LAUNCH_FAILED: {
    means: "its command could not be started, or ended before it registered; shows exit code and last output",
  },
  STARTUP_TIMEOUT: { means: "it did not register in time; shows the last phase and the last dial error" },
  STARTING: {
    means: "registered, and its startup is not finished; shows its phases, and when it is usually ready",
  },
  IDLE_NO_WORK: { means: "ready, and no task waits" },
  IDLE_NOT_ELIGIBLE: {
    means: "ready, and tasks wait that it cannot run; shows the number of tasks and the filter for each kind",
  },
  DISPATCH_DELAYED: {
    means:
      "ready, and a task waits that it may run: the next is about to be assigned to it, or to another worker that may run it",
  },
  RESOURCE_NOT_LOADED: {
    means:
      "it was asked to load a resource that tasks wait for and has not loaded it yet; shows its last error",
  },
  DATABASE_UNAVAILABLE: { means: "PostgreSQL cannot be used; what the worker holds continues" },
  BUSY: {
    means:
      "holds the attempts shown: running, accepted but not listed in its heartbeats, not accepted yet, and results that are not committed yet",
  },
  REVOKED_RUNNING: {
    means: "handlers of revoked attempts have not returned and occupy its slots; shows which and since when",
  },
  STUCK_IN_PHASE: { means: "an attempt that it runs is stuck; shows which" },
  MISSING_AT_WORKER: { means: "it accepted attempts that its heartbeats do not list" },
  LOOP_BLOCKED: {
    means:
      "a handler blocks its main loop; heartbeats continue from their own thread; shows the innermost frames of its stack, or that its interpreter is held",
  },
  PAUSED: {
    means:
      "it asked for no new work, or an operator paused it; shows by whom, why and since when, both when both did",
  },
  QUARANTINED: {
    means:
      "it failed far more often than its peers, which ran the same types; shows both rates, the last errors with their attempts, and when it is probed. `muster worker release ID` ends it",
  },
  DRAINING: { means: "takes no new work, and ends when what it holds has ended" },
  SUSPECT: { means: "its stream dropped or its heartbeats stopped; the grace runs" },
  MECHANISM_NOT_ACTING: {
    means:
      "its grace is over, and the mode of `recovery` keeps every scheduler from ending its session; shows the mode and where it is set ([observe.md](observe.md))",
  },
  LOST: { means: "grace and lease expired; what it held was requeued" },
  FATAL: { means: "it reported the exception shown and ended" },
  ID_CONTESTED: {
    means: "two live processes use its worker id; shows machine and pid of both, and which one waits",
  },
  SUPERSEDED: { means: "a newer process took over its worker id" },
  KILL_REQUESTED: {
    means:
      "an operator asked to kill its process, and its supervisor has not reported its end; shows who asked, why, the grace, and the age of the supervisor's last report",
  },
  MACHINE_ENDS: {
    means:
      "its cloud takes the machine away, or advises to leave it; shows the notice, its age and when the machine ends ([spot.md](spot.md))",
  },
  KILLED: { means: "a signal ended it, as its supervisor reported; what it held was requeued at once" },
  OOM_KILLED: {
    means:
      "it ran out of memory, as its supervisor reported; shows the evidence, and its tasks are retried on their memory budget",
  },
  EXITED: { means: "it ended normally, or with the exit code and last output shown" },
  BAD_TOKEN: {
    means: "it was refused: it sent no token, or not this scheduler's; shows how often, when and from where",
  },
  VERSION_MISMATCH: {
    means:
      "it was refused: it speaks another version of the protocol; shows both versions and which side to upgrade",
  },
  INVALID_HELLO: { means: "it was refused: its first message was no `Hello`, or one with the fault shown" },
  HELLO_TIMEOUT: { means: "it was refused: it opened a stream and sent no `Hello` in time" },
} as const satisfies Codes;

/** A schedule. */
export const SCHEDULE_CODES = {
  SCHEDULE_PAUSED: {
    means: "an operator paused it; shows who, why and since when",
    remedy: "`muster schedule resume NAME`",
  },
  SCHEDULE_ENDED: {
    means: "its end has passed, or its cron expression has no further tick",
    remedy: "`muster schedule set NAME` with another end or timing, or `muster schedule delete NAME`",
  },
  SCHEDULE_FAILING: {
    means:
      "the task of its due tick is refused; shows the code, the message, since when and how often. The tick stays due and is tried again after 1 s, doubled up to 1 min",
    remedy: "make room in the queue, or correct the task with `muster schedule set NAME`",
  },
  SCHEDULE_LATE: {
    means: "a tick has been due for more than a minute, and no scheduler has submitted it",
    remedy: "`muster doctor`",
  },
  SCHEDULE_OVERLAPS: {
    means:
      "a task of an earlier tick is open and its overlap policy is to skip; shows the task and how many ticks were skipped",
    remedy: "`muster why ID` of the task if it takes too long",
  },
  SCHEDULE_WAITING: {
    means: "its next tick is in the future; shows the next five",
    remedy: "none; `muster schedule run-now NAME` submits a task now",
  },
} as const satisfies Codes;

/** A pool, and what keeps a pool from launching a worker for a waiting task. */
export const POOL_CODES = {
  POOL_DELETING: {
    means: "an operator deletes it, and workers of it have not ended; shows who, why and how many",
    remedy: "none; it is removed when they have ended",
  },
  POOL_PAUSED: {
    means: "an operator paused it; shows who, why and since when",
    remedy: "`muster pool resume NAME`",
  },
  LAUNCHES_SUSPENDED: {
    means:
      "its last starts failed; shows how many of how many, the most frequent cause with an example, and when the next probe is launched",
    remedy: "fix the cause; a probe that becomes ready ends it, `muster pool resume NAME` ends it now",
  },
  ROLLOUT_PAUSED: {
    means:
      "launches of its new template failed or were lost, so the workers of the earlier one stay; shows how many, the last one with its cause, and what still runs the earlier template",
    remedy:
      "`muster pool rollback NAME`, or fix the template and apply it; `muster pool resume NAME` tries it again",
  },
  ROLLING_OUT: {
    means:
      "its template was changed and not all workers have it; shows how many do, and which workers still run the earlier one",
    remedy: "wait; `muster pool rollback NAME` goes back",
  },
  NO_LAUNCHER: {
    means: "no connected launcher starts its workers; shows the driver, and the last launcher with its age",
    remedy: "`muster launcher` where the workers are to run",
  },
  POOL_AT_MAX: {
    means: "as many processes of it exist as its maximum allows, and tasks wait; shows the numbers",
    remedy: "wait, or `muster pool scale NAME --max N`",
  },
  WORKERS_STARTING: {
    means: "launches of it are not ready yet; shows for how long, and the usual time once it is measured",
    remedy: "wait; `muster pool status NAME` lists them",
  },
  LAUNCHES_FAILED: {
    means:
      "launches of it failed or were lost; a reason for each cause among the last 50 launches, the most frequent first, with the evidence and the last output of the newest",
    remedy: "what the reason names",
  },
  NO_POOL_OFFERS: {
    means: "of a task: there are pools, and none offers its type, queue, labels, resources and capacities",
    remedy: "`muster pool apply FILE`, or start a worker",
  },
  POOL_SATISFIED: {
    means: "as many workers as are wanted are there or starting; shows what decides the number",
    remedy: "none",
  },
} as const satisfies Codes;

/** A stable code of an explanation's reason. */
export type ReasonCode =
  | keyof typeof WAITING_CODES
  | keyof typeof ASSIGNED_CODES
  | keyof typeof ENDED_CODES
  | keyof typeof WORKER_CODES
  | keyof typeof SCHEDULE_CODES
  | keyof typeof POOL_CODES;

/** The commands that call the API, as `muster --help` lists them, and where each is defined. */
import type { Command } from "commander";
import type { Io } from "../io/io.ts";

/** Adds its arguments, options, help texts and action to a command. */
type Define = (command: Command, io: Io, setExitCode: (code: number) => void, version: string) => void;

/** A command before it is defined. */
export interface CommandEntry {
  /** Its name and its arguments. */
  readonly usage: string;
  readonly summary: string;
  /** Loads its definition: with the client of the API that is 250 modules, more than half of the time of a start. */
  readonly load: () => Promise<Define>;
}

/** The commands by their group in `muster --help`. */
export const COMMANDS: Readonly<Record<string, readonly CommandEntry[]>> = {
  "Tasks:": [
    {
      usage: "submit <type> [payload]",
      summary: "submit a task; --wait waits for its result",
      load: async () => (await import("./tasks/submit.ts")).defineSubmit,
    },
    {
      usage: "tasks",
      summary: "list tasks, newest first",
      load: async () => (await import("./tasks/tasks.ts")).defineTasks,
    },
    {
      usage: "task [id]",
      summary: "show one task with its attempts, payload and result",
      load: async () => (await import("./tasks/task.ts")).defineTask,
    },
    {
      usage: "dependencies <id>",
      summary: "list what a task waits for, and what waits for it",
      load: async () => (await import("./tasks/dependencies.ts")).defineDependencies,
    },
    {
      usage: "batch <id>",
      summary: "show a batch of tasks; create, close or cancel one",
      load: async () => (await import("./tasks/batch.ts")).defineBatch,
    },
    {
      usage: "batches",
      summary: "list batches of tasks, newest first",
      load: async () => (await import("./tasks/batches.ts")).defineBatches,
    },
    {
      usage: "cancel [ids...]",
      summary: "cancel queued tasks, or ask the workers to stop running ones",
      load: async () => (await import("./tasks/cancel.ts")).defineCancel,
    },
    {
      usage: "retry [ids...]",
      summary: "run ended tasks again, or waiting retries at once",
      load: async () => (await import("./tasks/retry.ts")).defineRetry,
    },
    {
      usage: "move [ids...]",
      summary: "move queued tasks to another queue",
      load: async () => (await import("./tasks/move.ts")).defineMove,
    },
    {
      usage: "reprioritise [ids...]",
      summary: "set the priority of queued tasks",
      load: async () => (await import("./tasks/reprioritise.ts")).defineReprioritise,
    },
    {
      usage: "delete [ids...]",
      summary: "delete the records of ended tasks",
      load: async () => (await import("./tasks/delete.ts")).defineDelete,
    },
    {
      usage: "edit <id>",
      summary: "change priority, limits or start of a task that has not ended",
      load: async () => (await import("./tasks/edit.ts")).defineEdit,
    },
    {
      usage: "hold <id>",
      summary: "keep a waiting task from starting",
      load: async () => (await import("./tasks/hold.ts")).defineHold,
    },
    {
      usage: "release <id>",
      summary: "let a held task start",
      load: async () => (await import("./tasks/release.ts")).defineRelease,
    },
    {
      usage: "revoke <id>",
      summary: "take a task from its worker now; it waits again",
      load: async () => (await import("./tasks/revoke.ts")).defineRevoke,
    },
    {
      usage: "invoke <file> <type> [payload]",
      summary: "run one task of a worker's file here, without a scheduler",
      load: async () => (await import("./tasks/invoke.ts")).defineInvoke,
    },
    {
      usage: "schedules",
      summary: "list recurring tasks with their next runs",
      load: async () => (await import("./schedules/schedules.ts")).defineSchedules,
    },
    {
      usage: "schedule",
      summary: "set, show, pause, resume, run or delete a recurring task",
      load: async () => (await import("./schedules/schedule.ts")).defineSchedule,
    },
  ],
  "Fleet:": [
    {
      usage: "workers",
      summary: "list workers, newest first",
      load: async () => (await import("./fleet/workers.ts")).defineWorkers,
    },
    {
      usage: "worker <id>",
      summary: "show one worker; pause, resume, release or kill it, or run one",
      load: async () => (await import("./fleet/worker.ts")).defineWorker,
    },
    {
      usage: "drain <worker>",
      summary: "ask a worker to finish its attempts and exit",
      load: async () => (await import("./fleet/drain.ts")).defineDrain,
    },
    {
      usage: "run <command...>",
      summary: "start a worker process, supervise it, and report how it starts and ends",
      load: async () => (await import("./fleet/run.ts")).defineRun,
    },
    {
      usage: "conformance [command...]",
      summary: "test a worker of any language against a scheduler that misbehaves on purpose",
      load: async () => (await import("./fleet/conformance.ts")).defineConformance,
    },
    {
      usage: "link <command...>",
      summary: "connect a worker in any language, which speaks lines of JSON",
      load: async () => (await import("./fleet/link.ts")).defineLink,
    },
    {
      usage: "launches",
      summary: "list starts of supervised workers, newest first",
      load: async () => (await import("./fleet/launches.ts")).defineLaunches,
    },
    {
      usage: "pool",
      summary: "manage pools: workers that start by themselves",
      load: async () => (await import("./pools/pool.ts")).definePool,
    },
    {
      usage: "launcher",
      summary: "start and end the workers of pools on this machine",
      load: async () => (await import("./pools/launcher.ts")).defineLauncher,
    },
    {
      usage: "queues",
      summary: "list queues with their waiting and active tasks",
      load: async () => (await import("./fleet/queues.ts")).defineQueues,
    },
    {
      usage: "queue",
      summary: "pause, limit or bind a queue, or change its settings",
      load: async () => (await import("./fleet/queue.ts")).defineQueue,
    },
    {
      usage: "locks [key]",
      summary: "list concurrency keys: what holds them, what waits",
      load: async () => (await import("./fleet/locks.ts")).defineLocks,
    },
    {
      usage: "limit",
      summary: "set or unset the limit of a concurrency key",
      load: async () => (await import("./fleet/limit.ts")).defineLimit,
    },
    {
      usage: "rate-limits [key]",
      summary: "list rate limits: tokens, the next one, what waits",
      load: async () => (await import("./fleet/rate-limits.ts")).defineRateLimits,
    },
    {
      usage: "rate-limit",
      summary: "set or unset the rate of a rate limit",
      load: async () => (await import("./fleet/rate-limit.ts")).defineRateLimit,
    },
    {
      usage: "key",
      summary: "pause or resume a rate limit key",
      load: async () => (await import("./fleet/key.ts")).defineKey,
    },
    {
      usage: "circuits [key]",
      summary: "list circuit breakers: state, failures, next probe",
      load: async () => (await import("./fleet/circuits.ts")).defineCircuits,
    },
    {
      usage: "circuit",
      summary: "open or reset a circuit breaker",
      load: async () => (await import("./fleet/circuit.ts")).defineCircuit,
    },
    {
      usage: "fairness",
      summary: "list, set or unset the weights of fairness keys",
      load: async () => (await import("./fleet/fairness.ts")).defineFairness,
    },
  ],
  "Explain:": [
    {
      usage: "stack <id>",
      summary: "show where the handlers of a task or worker are now",
      load: async () => (await import("./explain/stack.ts")).defineStack,
    },
    {
      usage: "why <id>",
      summary: "explain why a task, worker, queue, schedule or pool is not moving",
      load: async () => (await import("./explain/why.ts")).defineWhy,
    },
    {
      usage: "events [id]",
      summary: "show the recorded events of a task, a worker or the whole fleet",
      load: async () => (await import("./explain/events.ts")).defineEvents,
    },
    {
      usage: "logs <id>",
      summary: "show what the handlers of a task logged; --follow shows new lines",
      load: async () => (await import("./explain/logs.ts")).defineLogs,
    },
    {
      usage: "top",
      summary: "watch queues, workers, stuck tasks and failures live",
      load: async () => (await import("./explain/top.ts")).defineTop,
    },
    {
      usage: "failures",
      summary: "count failures within a window by code and cause, with the success rate",
      load: async () => (await import("./explain/failures.ts")).defineFailures,
    },
    {
      usage: "stats",
      summary: "sum what handlers measured within a window, by queue, type and name",
      load: async () => (await import("./explain/stats.ts")).defineStats,
    },
    {
      usage: "doctor",
      summary: "check the database, clocks, background loops, versions and stuck work",
      load: async () => (await import("./explain/doctor.ts")).defineDoctor,
    },
  ],
};

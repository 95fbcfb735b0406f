/** The options of a task that `muster submit` and `muster schedule set` share, and the fields that they set. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import type { CircuitRule, CostRaise, FixedBackoff, TaskSpec, TaskSpecSchema } from "@muster/protocol";
import type { Command } from "commander";
import { argument, collect, keyValue, wholeNumber } from "../parse.ts";
import { type Backoff, parseBackoff, parseDelays } from "./backoff.ts";
import { circuitRule } from "./circuit.ts";
import { type ConcurrencyKey, concurrencyKey } from "./concurrency.ts";
import { costAmount, costRaise } from "./cost.ts";
import { type KeyRate, keyRate, rateLimitMessage } from "./rate.ts";

/** The options as they were given. */
export interface TaskOptions {
  readonly queue?: string;
  readonly priority?: number;
  readonly concurrency?: ConcurrencyKey[];
  readonly cost?: Record<string, bigint>;
  readonly rateLimit?: KeyRate[];
  readonly circuit?: CircuitRule;
  readonly tag?: string[];
  readonly header?: Record<string, string>;
  readonly label?: Record<string, string>;
  readonly resource?: string[];
  readonly fairnessKey?: string;
  readonly fairnessWeight?: number;
  readonly maxRetries?: number;
  readonly maxIterations?: number;
  readonly backoff?: Backoff;
  readonly lostBackoff?: FixedBackoff;
  readonly retryTimeouts: boolean;
  readonly oomLabel?: Record<string, string>;
  readonly oomCost?: Record<string, CostRaise>;
  readonly runTimeout?: number;
  readonly queueTimeout?: number;
}

/** Adds the options to a command. */
export function addTaskOptions(command: Command): Command {
  const duration = argument(parseDuration);
  return command
    .option("--queue <name>", "queue name; default: default")
    .option("--priority <n>", "-1000 to 1000, higher first; default 0", wholeNumber(-1000, 1000))
    .option(
      "--concurrency <key=n>",
      "start only while fewer than n tasks hold this key; repeatable; `muster submit --help` has more",
      concurrencyKey,
    )
    .option(
      "--cost <name=n>",
      "take n of this capacity of the worker, for example slots=2; repeatable",
      costAmount,
    )
    .option(
      "--rate-limit <key=n/period>",
      "start only n tasks with this key in each period, for example smtp=100/1m, or smtp=100/1m:10 with a burst of 10; repeatable",
      keyRate,
    )
    .option(
      "--circuit <rule>",
      "circuit breaker: KEY, or KEY,rate=0.5,window=1m,samples=10,open=30s,max-open=10m,probes=1",
      argument(circuitRule),
    )
    .option("--fairness-key <key>", "tasks of the queue take turns by their keys, for example by tenant")
    .option("--fairness-weight <n>", "share of the key, 1 to 1000; default 1", wholeNumber(1, 1_000))
    .option("--tag <name>", "name by which `muster tasks --tag` finds it, at most 8; repeatable", collect)
    .option("--header <k=v>", "metadata for the worker; repeatable", keyValue)
    .option("--label <k=v>", "require a worker with this label; repeatable", keyValue)
    .option("--resource <name>", "require a worker with this resource loaded; repeatable", collect)
    .option(
      "--max-retries <n>",
      "maximum number of retries after the first attempt; default: that of the queue, else of the scheduler (3)",
      wholeNumber(0, 1000),
    )
    .option(
      "--backoff <waits>",
      "waits before the retries: 1m,5m,30m, or 1s,factor=2,max=1h,jitter=0.1; default: those of the queue, else of the scheduler",
      argument(parseBackoff),
    )
    .option(
      "--lost-backoff <waits>",
      "waits after attempts that were lost with their worker: 1m,5m,30m; default: those of the queue, else of the scheduler (none)",
      argument(parseDelays),
    )
    .option(
      "--max-iterations <n>",
      "iterations that all attempts may begin together, as the handler counts them; default: no limit",
      wholeNumber(1, 1_000_000_000),
    )
    .option("--run-timeout <duration>", "time limit of an attempt; default: none", duration)
    .option(
      "--oom-label <k=v>",
      "require a worker with this label after the task ran out of memory; repeatable",
      keyValue,
    )
    .option(
      "--oom-cost <name=raise>",
      "raise this cost each time that the task ran out of memory: memory_mb=x2, memory_mb=+4000, with a limit memory_mb=x2,max=24000; repeatable",
      costRaise,
    )
    .option("--no-retry-timeouts", "fail at the first attempt that passes its time limit; default: retry")
    .option(
      "--queue-timeout <duration>",
      "time limit of the wait for the first start; default: none",
      duration,
    );
}

/** The fields of a task that the options set. */
export function taskFields(options: TaskOptions): Exclude<MessageInitShape<typeof TaskSpecSchema>, TaskSpec> {
  const { runTimeout, queueTimeout } = options;
  return {
    queue: options.queue ?? "",
    priority: options.priority ?? 0,
    concurrency: options.concurrency ?? [],
    rateLimits: (options.rateLimit ?? []).map(rateLimitMessage),
    ...(options.circuit === undefined ? {} : { circuit: options.circuit }),
    ...fairness(options),
    tags: options.tag ?? [],
    headers: options.header ?? {},
    requirements: {
      labels: options.label ?? {},
      resources: options.resource ?? [],
      cost: options.cost ?? {},
    },
    ...retryPolicy(options),
    maxIterationCount: options.maxIterations ?? 0,
    timeouts: {
      ...(runTimeout === undefined ? {} : { run: durationFromMs(runTimeout) }),
      ...(queueTimeout === undefined ? {} : { queueWait: durationFromMs(queueTimeout) }),
    },
  };
}

function retryPolicy({ maxRetries, backoff, lostBackoff, retryTimeouts, oomLabel, oomCost }: TaskOptions) {
  const changes = oomLabel !== undefined || oomCost !== undefined;
  const policy = {
    ...(maxRetries === undefined ? {} : { maxRetryCount: maxRetries }),
    ...(backoff === undefined ? {} : { backoff }),
    ...(lostBackoff === undefined ? {} : { lostBackoff }),
    ...(retryTimeouts ? {} : { retryTimeouts }),
    ...(changes ? { onOutOfMemory: { labels: oomLabel ?? {}, cost: oomCost ?? {} } } : {}),
  };
  return Object.keys(policy).length === 0 ? {} : { retryPolicy: policy };
}

function fairness({ fairnessKey: key, fairnessWeight: weight }: TaskOptions) {
  if (key === undefined && weight === undefined) return {};
  return { fairness: { key: key ?? "", weight: weight ?? 0 } };
}

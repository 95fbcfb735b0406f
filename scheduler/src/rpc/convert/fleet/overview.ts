// The overview of the fleet in protobuf.
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  HoldKind,
  type HoldOverviewSchema,
  type OverviewSchema,
  type TaskOverviewSchema,
  type WorkerOverviewSchema,
} from "@muster/protocol";
import { formatTaskId } from "../../../domain/ids.ts";
import type { HoldOverview } from "../../../queries/overview/hold-lines.ts";
import type { WorkerOverview } from "../../../queries/overview/launch-lines.ts";
import type { Overview, TaskOverview } from "../../../queries/overview/overview.ts";
import { optional } from "../values/optional.ts";
import { durationFromMs, timestampFromDate } from "../values/time.ts";
import { fromCompletions } from "../workers/completions.ts";
import { fromWorkerState } from "../workers/worker-state.ts";
import { fromQueue } from "./queue.ts";

/** An overview in protobuf. */
export function fromOverview(overview: Overview): MessageInitShape<typeof OverviewSchema> {
  return {
    readTime: timestampFromDate(overview.readTime),
    schedulerId: overview.schedulerId,
    schedulerVersion: overview.schedulerVersion,
    schedulerCount: overview.schedulers,
    workerStates: [...overview.workerStates].map(([state, count]) => ({
      state: fromWorkerState(state),
      workerCount: BigInt(count),
    })),
    slotCount: BigInt(overview.slots),
    activeSlotCount: BigInt(overview.activeSlots),
    readyCount: BigInt(overview.ready),
    scheduledCount: BigInt(overview.scheduled),
    activeCount: BigInt(overview.active),
    stuckCount: BigInt(overview.stuckTasks),
    recentFailureCount: BigInt(overview.recentFailures),
    queueCount: BigInt(overview.queueCount),
    queues: overview.queues.map(({ depth, unservable, unservableType }) => ({
      queue: fromQueue(depth, overview.recent),
      unservableCount: BigInt(unservable),
      unservableTaskType: unservableType,
    })),
    workers: overview.workers.map(fromWorkerOverview),
    running: overview.running.map(fromTaskOverview),
    failures: overview.failures.map(fromTaskOverview),
    holds: overview.holds.map(fromHold),
    holdCount: BigInt(overview.holdCount),
    recentCompletedCount: BigInt(overview.recent.total),
    ...(overview.recent.ageMs === undefined ? {} : { recentCompletedAge: age(overview.recent.ageMs) }),
  };
}

const HOLD_KINDS: Readonly<Record<HoldOverview["kind"], HoldKind>> = {
  circuit_open: HoldKind.CIRCUIT_OPEN,
  circuit_half_open: HoldKind.CIRCUIT_HALF_OPEN,
  key_paused: HoldKind.KEY_PAUSED,
  pool_suspended: HoldKind.POOL_SUSPENDED,
  pool_at_max: HoldKind.POOL_AT_MAX,
};

function fromHold(hold: HoldOverview): MessageInitShape<typeof HoldOverviewSchema> {
  return {
    key: hold.key,
    kind: HOLD_KINDS[hold.kind],
    ...(hold.ageMs === undefined ? {} : { age: age(hold.ageMs) }),
    problem: hold.problem,
    ...(hold.leftMs === undefined ? {} : { remaining: age(hold.leftMs) }),
  };
}

function fromWorkerOverview({
  line,
  problem,
}: WorkerOverview): MessageInitShape<typeof WorkerOverviewSchema> {
  return {
    workerId: line.workerId,
    state: fromWorkerState(line.state),
    problem,
    activeCount: line.active,
    releasedCount: line.released ?? 0,
    slotCount: line.slots,
    pool: line.pool,
    ...(line.silentMs === undefined ? {} : { heartbeatAge: age(line.silentMs) }),
    ...optional("completions", line.completions && fromCompletions(line.completions, line.silentMs ?? 0)),
  };
}

function fromTaskOverview({ line, taskClass }: TaskOverview): MessageInitShape<typeof TaskOverviewSchema> {
  const { fraction, done, total, leftMs } = line.progress ?? {};
  const share = fraction ?? (done !== undefined && total ? done / total : undefined);
  return {
    taskId: formatTaskId(line.taskId),
    taskType: taskClass?.type ?? "",
    queue: taskClass?.queue ?? "",
    workerId: line.workerId,
    phase: line.phase,
    age: age(line.ageMs),
    stuck: line.stuck,
    failureCode: line.failureCode,
    failureMessage: line.failureMessage,
    ...(share === undefined ? {} : { progress: Math.min(1, Math.max(0, share)) }),
    ...optional("timeLeft", leftMs === undefined ? undefined : age(leftMs)),
    ...optional("progressAge", line.progressAgeMs === undefined ? undefined : age(line.progressAgeMs)),
  };
}

function age(ms: number) {
  return durationFromMs(Math.max(0, Math.round(ms)));
}

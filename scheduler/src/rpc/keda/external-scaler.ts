/** KEDA's ExternalScaler: how many workers there are to be, for whoever starts them with KEDA. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  ExternalScaler,
  type GetMetricSpecResponseSchema,
  type ScaledObjectRef,
} from "@muster/protocol/keda";
import type { Clock } from "../../clock.ts";
import type { PoolController } from "../../dispatch/pools/pool-controller.ts";
import type { TaskClass } from "../../domain/matching/match.ts";
import { offers } from "../../domain/pools/demand.ts";
import { launchedTemplate } from "../../domain/pools/rollout.ts";
import { desired } from "../../domain/pools/scale.ts";
import { invalidRequest, poolNotFound } from "../../domain/refusals.ts";
import type { Workload } from "../../queries/workload.ts";
import type { Auth } from "../server/auth.ts";
import { toGrpcHandlers, toGrpcService } from "../server/bridge.ts";
import type { Calls } from "../server/calls.ts";
import type { ServiceTarget } from "../server/deferred.ts";
import type { CallContext, Handlers } from "../server/handlers.ts";
import { type ScalerTarget, TOKEN_KEY, toScalerTarget } from "./scaler-target.ts";

/** An open stream is looked after so often, milliseconds. */
const LOOK_MS = 2_000;

/** Parts that the scaler uses. */
export interface ExternalScalerParts {
  readonly auth: Pick<Auth, "check">;
  readonly workload: Pick<Workload, "waiting" | "active">;
  readonly pools: Pick<PoolController, "plan">;
  readonly clock: Pick<Clock, "sleep">;
  readonly run: <T>(work: () => Promise<T>) => Promise<T>;
  /** Aborts when the scheduler stops. */
  readonly stopping: AbortSignal;
}

/** Adds the service. */
export function mountExternalScaler(target: ServiceTarget, parts: ExternalScalerParts, calls: Calls): void {
  // The token may be in the message: the handlers check it.
  const hooks = { authorize: () => undefined, calls };
  target.addService(toGrpcService(ExternalScaler, calls), {
    ...toGrpcHandlers(ExternalScaler, externalScaler(parts), hooks),
  });
}

/** The handlers. */
export function externalScaler(parts: ExternalScalerParts): Handlers<typeof ExternalScaler> {
  const { auth, workload, pools, clock, run, stopping } = parts;

  /** KEDA sends no header: it resolves a key that ends with FromEnv from the environment of what it scales. */
  const admit = (ref: ScaledObjectRef | undefined, { requestHeader }: CallContext): ScalerTarget => {
    if (!ref) throw invalidRequest({ field: "scaledObjectRef", description: "is missing" });
    const { [TOKEN_KEY]: token } = ref.scalerMetadata;
    auth.check(requestHeader.get("authorization") ?? (token === undefined ? undefined : `Bearer ${token}`));
    return toScalerTarget(ref.scalerMetadata);
  };

  /** Workers that the pool wants, with all tasks that it could run, whoever started their workers. */
  const wanted = async (name: string): Promise<number> => {
    const { pools: planned, nowMs } = await pools.plan();
    const found = planned.get(name);
    if (!found) throw poolNotFound(name);
    const { pool } = found.known;
    const { spec, deletion } = pool;
    if (deletion) return 0;
    const { build } = launchedTemplate(pool.rollout, pool);
    const held = await workload.active((taskClass) => offers(spec.offer, build, taskClass));
    const { demand, desired: plan } = found.decision;
    return desired(
      { ...spec, minWorkers: plan.minimum, scheduledMinimums: [] },
      { ...demand, held: Math.max(held, demand.held) },
      nowMs,
      () => undefined,
    ).count;
  };

  const isActive = async (target: ScalerTarget): Promise<boolean> => {
    if (target.kind === "pool") return (await wanted(target.pool)) > 0;
    const counts = classesOf(target);
    return (await workload.waiting(counts)) > 0 || (await workload.active(counts)) > 0;
  };

  return {
    isActive: async (ref, context) => {
      const target = admit(ref, context);
      return { result: await run(() => isActive(target)) };
    },

    async *streamIsActive(ref, context) {
      const target = admit(ref, context);
      const ended = AbortSignal.any([context.signal, stopping]);
      let last: boolean | undefined;
      while (!ended.aborted) {
        const result = await run(() => isActive(target));
        if (result !== last) yield { result };
        last = result;
        await clock.sleep(LOOK_MS, ended);
      }
    },

    getMetricSpec: async (ref, context) => specOf(admit(ref, context)),

    async *streamMetricSpec(ref, context) {
      yield specOf(admit(ref, context));
      // It changes with the metadata, for which KEDA opens another stream.
      const ended = AbortSignal.any([context.signal, stopping]);
      if (!ended.aborted)
        await new Promise<void>((resolve) => {
          ended.addEventListener("abort", () => resolve(), { once: true });
        });
    },

    async getMetrics({ scaledObjectRef, metricName }, context) {
      const target = admit(scaledObjectRef, context);
      const name = metricOf(target);
      if (metricName !== name)
        throw invalidRequest({
          field: "metricName",
          description: `${JSON.stringify(metricName.slice(0, 100))} is not the metric of this trigger, which is ${name}`,
        });
      const value = await run(async () => {
        if (target.kind === "pool") return wanted(target.pool);
        const counts = classesOf(target);
        const [waiting, active] = await Promise.all([workload.waiting(counts), workload.active(counts)]);
        return waiting + active;
      });
      return { metricValues: [{ metricName: name, metricValue: BigInt(value), metricValueFloat: value }] };
    },
  };
}

function metricOf({ kind }: ScalerTarget): string {
  return kind === "pool" ? "muster-workers" : "muster-tasks";
}

function specOf(target: ScalerTarget): MessageInitShape<typeof GetMetricSpecResponseSchema> {
  const size = target.kind === "pool" ? 1 : target.tasksPerWorker;
  return {
    metricSpecs: [{ metricName: metricOf(target), targetSize: BigInt(size), targetSizeFloat: size }],
  };
}

function classesOf({ type, queue }: Extract<ScalerTarget, { kind: "tasks" }>) {
  return (taskClass: TaskClass): boolean =>
    (type === undefined || taskClass.type === type) && (queue === undefined || taskClass.queue === queue);
}

/** The calls of the cluster's API that make and end a launch. What the cluster refuses is answered, not thrown. */
import type { KubernetesTemplate } from "@muster/protocol";
import type { DriverContext, LaunchOrder } from "../driver.ts";
import { type ClusterApi, ClusterError } from "./cluster-api.ts";
import type { KnownPod, Output } from "./known-launch.ts";
import { LABELS, type Pod, WORKER } from "./pod.ts";
import { launcherLabel, toManifests, toSecret } from "./pod-manifest.ts";
import { type Attempted, type Refusal, refusalOf } from "./refusal.ts";

/** Lines of output that are read. */
const TAIL_LINES = 200;

/** Bytes of them, from the first of these lines on. */
const TAIL_BYTES = 1_048_576;

/** Refuses fields that the cluster does not know instead of dropping them. */
const STRICT = { fieldValidation: "Strict", fieldManager: "muster-launcher" };

/** The calls. */
export class PodCalls {
  readonly #api: ClusterApi;
  readonly #context: Pick<DriverContext, "env" | "launcherId" | "clock">;

  constructor(api: ClusterApi, context: Pick<DriverContext, "env" | "launcherId" | "clock">) {
    this.#api = api;
    this.#context = context;
  }

  /** Makes what is missing of the pod and its Secret. */
  async make(
    known: KnownPod,
    order: LaunchOrder,
    template: KubernetesTemplate,
  ): Promise<Refusal | undefined> {
    const { launcherId, env } = this.#context;
    const { namespace } = known;
    const { pod, secrets } = toManifests(order, template, namespace, launcherId, env);
    known.hasSecret ||= Object.keys(secrets).length > 0;
    if (!known.pod) {
      const refusal = await this.#makePod(known, pod);
      if (refusal) return refusal;
    }
    if (!known.hasSecret) return undefined;
    const uid = known.pod?.metadata?.uid ?? "";
    const secret = toSecret(order, secrets, namespace, launcherId, uid);
    return this.#attempt({ verb: "create", resource: "secrets", namespace }, async () => {
      await this.#api.json({
        ...{ method: "POST", path: `/api/v1/namespaces/${namespace}/secrets`, query: STRICT, body: secret },
      });
    });
  }

  async #makePod(known: KnownPod, body: unknown): Promise<Refusal | undefined> {
    const { namespace, launchId } = known;
    const attempted: Attempted = { verb: "create", resource: "pods", namespace };
    try {
      const path = `/api/v1/namespaces/${namespace}/pods`;
      known.pod ??= await this.#api.json<Pod>({ method: "POST", path, query: STRICT, body });
      return undefined;
    } catch (error) {
      if (!isTaken(error)) return refusalOf(error, attempted);
    }
    // An earlier call made it, whose answer was lost; or another launcher.
    try {
      const found = await this.#api.json<Pod>({ method: "GET", path: podPath(known) });
      if (!this.#isOurs(found, launchId))
        return {
          ...{ reason: "NameTaken", final: true },
          detail: `the pod ${launchId} in ${namespace} belongs to something else`,
        };
      known.pod ??= found;
      return undefined;
    } catch (error) {
      if (error instanceof ClusterError && error.status === 404)
        return { reason: "NameTaken", detail: `a pod ${launchId} is just being removed`, final: false };
      return refusalOf(error, { ...attempted, verb: "get" });
    }
  }

  /** Asks the cluster to end the pod. Of one that is not there `gone` or `never` is set. */
  async remove(known: KnownPod, graceS: number): Promise<Refusal | undefined> {
    const uid = known.pod?.metadata?.uid;
    try {
      const left = await this.#api.json<Pod>({
        method: "DELETE",
        path: podPath(known),
        body: {
          ...{ kind: "DeleteOptions", apiVersion: "v1", gracePeriodSeconds: graceS },
          // Never another pod of the same name.
          ...(uid === undefined ? {} : { preconditions: { uid } }),
        },
      });
      // Its status has more than what was seen before.
      if (left.metadata?.uid !== undefined && !known.gone) known.pod = left;
      return undefined;
    } catch (error) {
      if (
        error instanceof ClusterError &&
        (error.status === 404 || (uid !== undefined && error.status === 409))
      ) {
        if (known.pod) known.gone = true;
        else known.never = true;
        return undefined;
      }
      return refusalOf(error, { verb: "delete", resource: "pods", namespace: known.namespace });
    }
  }

  /** Removes the pod of an ended launch, and its Secret where nothing else does. */
  async forget(known: KnownPod, graceS: number): Promise<Refusal | undefined> {
    const { namespace, launchId } = known;
    if (known.pod && !known.gone) {
      const refusal = await this.remove(known, graceS);
      if (refusal) return refusal;
    }
    if (!known.hasSecret) return undefined;
    const path = `/api/v1/namespaces/${namespace}/secrets/${launchId}`;
    return this.#attempt({ verb: "delete", resource: "secrets", namespace }, async () => {
      await this.#api.json({ method: "DELETE", path });
    });
  }

  /** The end of the worker's output. */
  async output({ namespace, launchId }: KnownPod): Promise<Output> {
    const none = { tail: "", bytes: 0, lastMs: undefined };
    try {
      const text = await this.#api.text({
        ...{ method: "GET", path: `/api/v1/namespaces/${namespace}/pods/${launchId}/log` },
        query: { container: WORKER, tailLines: TAIL_LINES, limitBytes: TAIL_BYTES, timestamps: "true" },
      });
      const lines = text.split("\n").filter((line) => line !== "");
      const lastMs = Date.parse(/^\S+/.exec(lines.at(-1) ?? "")?.[0] ?? "");
      const tail = lines.map((line) => `${line.replace(/^\S+ ?/, "")}\n`).join("");
      return { tail, bytes: tail.length, lastMs: Number.isNaN(lastMs) ? undefined : lastMs, fault: "" };
    } catch (error) {
      const { detail } = refusalOf(error, { verb: "get", resource: "pods/log", namespace });
      return { ...none, fault: `its output could not be read: ${detail}` };
    }
  }

  async #attempt(attempted: Attempted, call: () => Promise<void>): Promise<Refusal | undefined> {
    try {
      await call();
      return undefined;
    } catch (error) {
      const { verb } = attempted;
      const done = verb === "create" ? isTaken(error) : error instanceof ClusterError && error.status === 404;
      return done ? undefined : refusalOf(error, attempted);
    }
  }

  #isOurs({ metadata = {} }: Pod, launchId: string): boolean {
    const { labels = {} } = metadata;
    return (
      labels[LABELS.launch] === launchId &&
      labels[LABELS.launcher] === launcherLabel(this.#context.launcherId)
    );
  }
}

function isTaken(error: unknown): boolean {
  return error instanceof ClusterError && error.status === 409 && error.reason === "AlreadyExists";
}

function podPath({ namespace, launchId }: KnownPod): string {
  return `/api/v1/namespaces/${namespace}/pods/${launchId}`;
}

/** The watches of the pods of a launcher and of the warnings about them, in each of its namespaces. */
import type { Clock } from "../clock.ts";
import type { LauncherLog } from "../launcher-log.ts";
import type { ClusterApi, ClusterError } from "./cluster-api.ts";
import { ObjectWatch } from "./object-watch.ts";
import { type ClusterEvent, LABELS, type Pod } from "./pod.ts";
import { launcherLabel } from "./pod-manifest.ts";
import { type Attempted, refusalOf } from "./refusal.ts";

/** What is watched, and what is called. */
export interface ClusterWatchesParts {
  readonly api: ClusterApi;
  readonly clock: Clock;
  readonly log: LauncherLog;
  readonly launcherId: string;
  readonly namespaces: readonly string[];
  readonly seen: (pod: Pod, namespace: string, gone: boolean) => void;
  readonly warned: (event: ClusterEvent) => void;
}

/** The watches. An outage is logged once, and its end. */
export class ClusterWatches {
  readonly #parts: ClusterWatchesParts;
  /** Watches that have failed and not begun again, and what was said of them. */
  readonly #failing = new Map<string, string>();
  /** Namespaces whose pods are not listed yet. */
  readonly #unlisted: Set<string>;
  #waiting: (() => void)[] = [];
  #signal: AbortSignal | undefined;

  constructor(parts: ClusterWatchesParts) {
    this.#parts = parts;
    this.#unlisted = new Set(parts.namespaces);
  }

  /** Begins, once; ends with the signal. */
  start(signal: AbortSignal): void {
    if (this.#signal) return;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#wake(), { once: true });
    for (const namespace of this.#parts.namespaces) this.#watch(namespace, signal);
  }

  /** Resolves when every pod is known. @throws Error while the API server does not answer. */
  async listed(): Promise<void> {
    while (this.#unlisted.size > 0 && !this.#signal?.aborted) {
      for (const namespace of this.#unlisted) {
        const fault = this.#failing.get(`pods of ${namespace}`);
        if (fault !== undefined) throw new Error(fault);
      }
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }

  #watch(namespace: string, signal: AbortSignal): void {
    const { api, clock, launcherId, seen, warned } = this.#parts;
    const at = `/api/v1/namespaces/${namespace}`;
    const pods = new ObjectWatch<Pod>({
      ...{ api, clock, path: `${at}/pods` },
      query: { labelSelector: `${LABELS.launcher}=${launcherLabel(launcherId)}` },
      changed: (pod) => seen(pod, namespace, false),
      gone: (pod) => seen(pod, namespace, true),
      listed: () => {
        this.#unlisted.delete(namespace);
        this.#wake();
      },
      opened: () => this.#recovered(`pods of ${namespace}`),
      failed: (error) => this.#failed(error, { verb: "list", resource: "pods", namespace }),
    });
    const events = new ObjectWatch<ClusterEvent>({
      ...{ api, clock, path: `${at}/events` },
      query: { fieldSelector: "involvedObject.kind=Pod,type=Warning" },
      changed: warned,
      gone: () => undefined,
      listed: () => undefined,
      opened: () => this.#recovered(`events of ${namespace}`),
      failed: (error) => this.#failed(error, { verb: "list", resource: "events", namespace }),
    });
    void pods.run(signal);
    void events.run(signal);
  }

  #failed(error: ClusterError, attempted: Attempted): void {
    const { resource, namespace } = attempted;
    const name = `${resource} of ${namespace}`;
    const { detail, reason } = refusalOf(error, attempted);
    const fault = `the ${name} cannot be watched: ${detail}`;
    if (this.#failing.get(name) !== fault)
      this.#parts.log.write("error", "launcher.engine_unreachable", fault, { reason, namespace });
    this.#failing.set(name, fault);
    this.#wake();
  }

  #recovered(name: string): void {
    if (this.#failing.delete(name))
      this.#parts.log.write("info", "launcher.engine_reached", `the ${name} are watched again`);
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

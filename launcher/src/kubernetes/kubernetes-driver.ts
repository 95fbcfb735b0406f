/** The driver of workers as pods of a Kubernetes cluster. */
import type { KubernetesTemplate } from "@muster/protocol";
import type { DriverContext, LaunchDriver, LaunchOrder, ObservedLaunch } from "../driver.ts";
import { ClusterApi } from "./cluster-api.ts";
import type { ClusterConfig } from "./cluster-config.ts";
import { findCluster } from "./cluster-config.ts";
import { ClusterWatches } from "./cluster-watches.ts";
import { KnownPod } from "./known-launch.ts";
import { type ClusterEvent, LABELS, type Pod } from "./pod.ts";
import { PodCalls } from "./pod-calls.ts";
import type { Refusal } from "./refusal.ts";

/** Delays between tries, doubling from the first to the last, milliseconds. */
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 15_000;

/** Output of a launch that starts is looked at so often, milliseconds. */
const OUTPUT_LOOK_MS = 10_000;

/** Times of the driver, milliseconds. */
export interface DriverTimes {
  /** A pod that is still there so long after its grace is stuck. @default 15_000 */
  readonly stuckMs: number;
  /** One that nothing but its node keeps is then removed by force. @default 60_000 */
  readonly forceMs: number;
}

const TIMES: DriverTimes = { stuckMs: 15_000, forceMs: 60_000 };

/** Makes the driver. @throws SetupError when there is no cluster, or the library is not installed. */
export async function makeKubernetesDriver(context: DriverContext): Promise<KubernetesDriver> {
  return new KubernetesDriver(context, await findCluster(context.env));
}

/**
 * Makes a pod for each launch, named by its id: the cluster makes a name once. Everything that is known of a launch is read from its
 * pod, so that a restart of the launcher forgets nothing.
 */
export class KubernetesDriver implements LaunchDriver {
  readonly #context: DriverContext;
  readonly #cluster: ClusterConfig;
  readonly #times: DriverTimes;
  readonly #calls: PodCalls;
  readonly #launches = new Map<string, KnownPod>();
  /** Their ends are recorded; what is left of their pods does not matter. */
  readonly #forgotten = new Set<string>();
  readonly #closing = new AbortController();
  readonly #changed = new Set<KnownPod>();
  /** Work under way by launch. */
  readonly #making = new Map<KnownPod, Promise<void>>();
  readonly #ending = new Map<KnownPod, Promise<void>>();
  readonly #reading = new Map<KnownPod, Promise<void>>();
  /** Ends a wait of `#end`, by launch. */
  readonly #hurry = new Map<KnownPod, () => void>();
  readonly #watches: ClusterWatches;
  #started = false;
  #wake: () => void = () => undefined;

  constructor(context: DriverContext, cluster: ClusterConfig, times: Partial<DriverTimes> = {}) {
    this.#context = context;
    this.#cluster = cluster;
    this.#times = { ...TIMES, ...times };
    const api = new ClusterApi(cluster.config, cluster.server);
    this.#calls = new PodCalls(api, context);
    const { clock, log, launcherId } = context;
    this.#watches = new ClusterWatches({
      ...{ api, clock, log, launcherId, namespaces: cluster.namespaces },
      seen: (pod, namespace, gone) => this.#see(pod, namespace, gone),
      warned: (event) => this.#warn(event),
    });
  }

  async launch(order: LaunchOrder): Promise<void> {
    const { engine, launchId } = order;
    if (engine.case !== "kubernetes") throw new Error(`${launchId} has no settings of the driver kubernetes`);
    const template = engine.value;
    await this.#synced();
    const known = this.#launches.get(launchId);
    if (known?.hasEnded || (known && this.#making.has(known)) || known?.killAtMs !== undefined) return;
    if (known) {
      // Its pod is there. A launcher that was killed may not have made its Secret.
      known.ordered(order);
      if (known.view?.phase === "pending") this.#make(known, order, template);
      return;
    }
    const [first] = this.#cluster.namespaces;
    const namespace = template.podNamespace || first;
    const fresh = this.#know(launchId, namespace);
    fresh.ordered(order);
    if (this.#cluster.namespaces.includes(namespace)) this.#make(fresh, order, template);
    else
      this.#refuse(fresh, {
        ...{ reason: "NamespaceNotServed", final: true },
        detail: `this launcher serves ${this.#cluster.namespaces.join(", ")} and not the namespace ${namespace}; set MUSTER_KUBERNETES_NAMESPACES`,
      });
  }

  async stop(launchId: string, { graceMs }: { readonly graceMs: number }): Promise<void> {
    await this.#synced();
    const known = this.#launches.get(launchId);
    if (!known) {
      const [first] = this.#cluster.namespaces;
      this.#know(launchId, first).never = true;
      return;
    }
    if (known.hasEnded) return this.#report(known);
    const killAtMs = this.#context.clock.monotonic() + graceMs;
    known.killAtMs = Math.min(killAtMs, known.killAtMs ?? killAtMs);
    this.#hurry.get(known)?.();
    if (!this.#ending.has(known)) this.#track(this.#ending, known, this.#end(known));
  }

  async list(): Promise<ObservedLaunch[]> {
    await this.#synced();
    await Promise.all(this.#reading.values());
    return [...this.#launches.values()].map((known) => this.#observe(known));
  }

  async *events(): AsyncIterable<ObservedLaunch> {
    this.#start();
    for (const known of this.#launches.values()) this.#changed.add(known);
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const waiting = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      for (const known of [...this.#changed]) {
        this.#changed.delete(known);
        // The end of its output comes with its end.
        if (this.#reading.has(known) || !this.#launches.has(known.launchId)) continue;
        yield this.#observe(known);
      }
      if (this.#changed.size === 0) await waiting;
    }
  }

  async forget(launchId: string): Promise<void> {
    const known = this.#launches.get(launchId);
    if (!known?.hasEnded) return;
    this.#launches.delete(launchId);
    this.#forgotten.add(launchId);
    this.#track(this.#ending, known, this.#remove(known));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake();
    for (const hurry of this.#hurry.values()) hurry();
    await Promise.allSettled([...this.#making.values(), ...this.#ending.values(), ...this.#reading.values()]);
  }

  /** Resolves when every pod is known. @throws Error while the API server does not answer. */
  async #synced(): Promise<void> {
    this.#start();
    await this.#watches.listed();
  }

  #start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#watches.start(this.#closing.signal);
    void this.#followOutput();
  }

  #know(launchId: string, namespace: string): KnownPod {
    const known = new KnownPod(launchId, namespace, this.#context.env);
    this.#launches.set(launchId, known);
    this.#report(known);
    return known;
  }

  #see(pod: Pod, namespace: string, gone: boolean): void {
    const { labels = {}, name } = pod.metadata ?? {};
    const launchId = labels[LABELS.launch];
    if (launchId === undefined || launchId !== name) return;
    if (this.#forgotten.has(launchId)) {
      if (gone) this.#forgotten.delete(launchId);
      return;
    }
    const known = this.#launches.get(launchId) ?? this.#know(launchId, namespace);
    const ended = known.hasEnded;
    known.pod = pod;
    known.gone = gone;
    known.never = false;
    if (known.hasEnded) {
      this.#hurry.get(known)?.();
      if (!ended && !known.outputComplete && known.hasNode)
        this.#track(this.#reading, known, this.#readEnd(known));
    }
    this.#report(known);
  }

  #warn({ involvedObject, reason = "", message = "" }: ClusterEvent): void {
    const known = this.#launches.get(involvedObject?.name ?? "");
    if (!known || (known.pod && known.pod.metadata?.uid !== involvedObject?.uid)) return;
    known.warning = { reason, message };
    this.#report(known);
  }

  /** Makes the pod, however often the cluster refuses for now. */
  #make(known: KnownPod, order: LaunchOrder, template: KubernetesTemplate): void {
    const work = async () => {
      await this.#retry(
        known,
        "launcher.launch_delayed",
        () => known.killAtMs !== undefined,
        async () => {
          const refusal = await this.#calls.make(known, order, template);
          if (refusal) return refusal;
          known.refusal = undefined;
          this.#report(known);
          return undefined;
        },
      );
    };
    this.#track(this.#making, known, work());
  }

  /** Ends the pod: asks, then shortens the grace, then removes it by force when only its node keeps it. */
  async #end(known: KnownPod): Promise<void> {
    const { clock, log } = this.#context;
    const { stuckMs, forceMs } = this.#times;
    // A call under way may make the pod.
    await this.#making.get(known);
    if (known.pod && known.view?.phase === "running" && known.hasNode) await this.#readTail(known);
    let said = false;
    while (!known.hasEnded && !this.#closing.signal.aborted) {
      const killAtMs = known.killAtMs ?? 0;
      const leftMs = killAtMs - clock.monotonic();
      const force = -leftMs >= forceMs && (known.pod?.metadata?.finalizers ?? []).length === 0;
      const graceS = force ? 0 : Math.max(1, Math.ceil(leftMs / 1_000));
      known.forced = force;
      const done = await this.#retry(
        known,
        "launcher.stop_delayed",
        () => known.hasEnded,
        () => this.#calls.remove(known, graceS),
      );
      if (!done) return;
      if (known.gone || known.never) {
        this.#report(known);
        return;
      }
      // A call may have shortened the grace meanwhile.
      if (known.hasEnded || known.killAtMs !== killAtMs) continue;
      const overdueMs = clock.monotonic() - killAtMs;
      if (overdueMs >= stuckMs) {
        known.stuck = known.whyStuck;
        this.#report(known);
        if (!said)
          log.write("error", "launcher.stop_hangs", `${known.launchId} has not ended: ${known.stuck}`, {
            launch_id: known.launchId,
          });
        said = true;
      }
      const untilMs = [stuckMs, forceMs].find((at) => at > overdueMs) ?? overdueMs + forceMs;
      await this.#wait(known, untilMs - overdueMs);
    }
  }

  /** Removes what is left of a launch whose end is recorded. */
  async #remove(known: KnownPod): Promise<void> {
    const terminal = /^(Succeeded|Failed)$/.test(known.pod?.status?.phase ?? "");
    await this.#retry(
      known,
      "launcher.stop_delayed",
      () => false,
      () => this.#calls.forget(known, terminal ? 0 : 1),
    );
    if (!known.pod || known.gone) this.#forgotten.delete(known.launchId);
  }

  /**
   * Calls until the cluster does it.
   *
   * @param isOver Whether it is not wanted any more.
   * @returns False when it was refused for good, or is not wanted.
   */
  async #retry(
    known: KnownPod,
    event: "launcher.launch_delayed" | "launcher.stop_delayed",
    isOver: () => boolean,
    call: () => Promise<Refusal | undefined>,
  ): Promise<boolean> {
    const { log } = this.#context;
    let delayMs = FIRST_RETRY_MS;
    let said = "";
    while (!this.#closing.signal.aborted && !isOver()) {
      const refusal = await call();
      if (!refusal) return true;
      if (event === "launcher.launch_delayed" && refusal.final) {
        this.#refuse(known, refusal);
        return false;
      }
      if (event === "launcher.launch_delayed") known.refusal = refusal;
      else known.stuck = refusal.detail;
      this.#report(known);
      if (said !== refusal.reason) {
        const verb = event === "launcher.launch_delayed" ? "launched" : "stopped";
        log.write(
          "warn",
          event,
          `${known.launchId} is not ${verb} yet: ${refusal.reason}: ${refusal.detail}`,
          {
            ...{ launch_id: known.launchId, reason: refusal.reason },
          },
        );
      }
      said = refusal.reason;
      await this.#wait(known, delayMs * (0.5 + Math.random() / 2));
      delayMs = Math.min(LAST_RETRY_MS, delayMs * 2);
    }
    return false;
  }

  #refuse(known: KnownPod, refusal: Refusal): void {
    const { launchId } = known;
    known.refusal = refusal;
    this.#context.log.write(
      "error",
      "launcher.launch_refused",
      `${launchId} is not launched: ${refusal.reason}: ${refusal.detail}`,
      {
        ...{ launch_id: launchId, reason: refusal.reason },
      },
    );
    this.#report(known);
  }

  /** Until the time is over, its stop is changed, or it ends. */
  async #wait(known: KnownPod, ms: number): Promise<void> {
    const hurried = new AbortController();
    this.#hurry.set(known, () => hurried.abort());
    await this.#context.clock.sleep(ms, AbortSignal.any([hurried.signal, this.#closing.signal]));
    this.#hurry.delete(known);
  }

  async #readEnd(known: KnownPod): Promise<void> {
    await this.#readTail(known);
    known.outputComplete = true;
  }

  async #readTail(known: KnownPod): Promise<void> {
    const before = known.output;
    const output = await this.#calls.output(known);
    known.output = output.fault === "" ? output : { ...before, fault: output.fault };
  }

  /** Looks whether the output of launches that start still grows. */
  async #followOutput(): Promise<void> {
    const { clock } = this.#context;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await clock.sleep(OUTPUT_LOOK_MS, signal);
      for (const known of this.#launches.values()) {
        if (signal.aborted) return;
        if (known.view?.phase !== "running" || !known.hasNode || clock.now() > known.startsUntilMs) continue;
        const { lastMs } = known.output;
        await this.#readTail(known);
        if (known.output.lastMs !== lastMs) this.#report(known);
      }
    }
  }

  #observe(known: KnownPod): ObservedLaunch {
    return known.observed(this.#context.clock.now());
  }

  #report(known: KnownPod): void {
    this.#changed.add(known);
    this.#wake();
  }

  #track(under: Map<KnownPod, Promise<void>>, known: KnownPod, work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => {
        this.#context.log.write("error", "launcher.driver_failed", `${known.launchId}: ${String(error)}`, {
          launch_id: known.launchId,
        });
      })
      .finally(() => {
        under.delete(known);
        this.#report(known);
      });
    under.set(known, tracked);
  }
}

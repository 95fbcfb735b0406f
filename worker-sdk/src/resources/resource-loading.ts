/** Loads a resource on request and records its state. */
import { classNameOf, messageOf, tracebackOf } from "../attempt/failure/classify.ts";
import { readThrownPromise } from "../attempt/failure/thrown-promise.ts";
import type { Clock } from "../clock.ts";
import type { ResourceStateMessage, ToLink } from "../link/messages.ts";
import type { Logger } from "../logging/logger.ts";
import type { ResourceLoaders } from "./resource-loaders.ts";
import type { Resources } from "./resources.ts";

/** Longest error text in a heartbeat, in characters. */
const MAX_ERROR = 1000;

/** Parts that the loading uses. */
export interface ResourceLoadingParts {
  readonly loaders: ResourceLoaders;
  readonly resources: Resources;
  readonly link: { send(message: ToLink): void };
  readonly log: Logger;
  readonly clock: Clock;
}

/** Loads and releases resources on request, one load of a resource at a time, and reports the states. */
export class ResourceLoading {
  readonly #parts: ResourceLoadingParts;
  readonly #loading = new Map<string, AbortController>();
  readonly #states = new Map<string, ResourceStateMessage>();
  #stopped = false;

  constructor(parts: ResourceLoadingParts) {
    this.#parts = parts;
  }

  /** Loads a resource, unless it is loaded or being loaded. Never rejects. */
  async prepare(resource: string, waitingTasks: number): Promise<void> {
    const { loaders, resources, log, clock } = this.#parts;
    if (this.#stopped || resources.has(resource) || this.#loading.has(resource)) return;
    const controller = new AbortController();
    const beganMs = clock.monotonicMs();
    const failures = this.#states.get(resource)?.failures ?? 0;
    this.#loading.set(resource, controller);
    this.#setState({
      resource,
      loading: true,
      sinceMs: beganMs,
      failures,
      error: this.#states.get(resource)?.error ?? "",
    });
    log.info(
      { event: "worker.resource.preparing", resource, waiting_tasks: waitingTasks, failures },
      `loading ${resource}: ${waitingTasks} tasks wait for it`,
    );
    const elapsed = () => Math.round(clock.monotonicMs() - beganMs);
    try {
      const loader = loaders.find(resource);
      if (loader === undefined) throw new Error(`this worker has no loader for ${resource}`);
      await loader.load({ resource, waitingTasks, signal: controller.signal });
    } catch (thrown) {
      const { error } = await readThrownPromise(thrown);
      this.#loading.delete(resource);
      if (controller.signal.aborted) this.#forget(resource);
      else this.#failed(resource, failures + 1, error, elapsed());
      return;
    }
    this.#loading.delete(resource);
    this.#forget(resource);
    // Released while it was being loaded, and the loader ignored its signal: release it now.
    if (controller.signal.aborted) await this.#releaseLoaded(resource, String(controller.signal.reason));
    else {
      resources.add(resource);
      log.info({ event: "worker.resource.loaded", resource, elapsed_ms: elapsed() }, `${resource} is loaded`);
    }
  }

  /** Releases a resource, or aborts its loading. Never rejects. */
  async release(resource: string, reason: string): Promise<void> {
    const { resources, log } = this.#parts;
    const loading = this.#loading.get(resource);
    if (loading !== undefined) {
      loading.abort(reason);
      return;
    }
    if (!resources.has(resource)) return;
    resources.remove(resource);
    log.info({ event: "worker.resource.released", resource, reason }, `${resource} is released`);
    await this.#releaseLoaded(resource, reason);
  }

  /** The worker ends: aborts every loading, and loads nothing more. */
  stop(): void {
    this.#stopped = true;
    for (const controller of this.#loading.values()) controller.abort("the worker ends");
  }

  async #releaseLoaded(resource: string, reason: string): Promise<void> {
    try {
      await this.#parts.loaders.find(resource)?.release?.({ resource, reason });
    } catch (thrown) {
      const { error } = await readThrownPromise(thrown);
      const fields = { event: "worker.resource.release_failed", resource, error: messageOf(error) };
      this.#parts.log.error(fields, `releasing ${resource} failed`);
    }
  }

  #failed(resource: string, failures: number, error: unknown, elapsedMs: number): void {
    const { log, clock } = this.#parts;
    const message = `${classNameOf(error)}: ${messageOf(error)}`.slice(0, MAX_ERROR);
    this.#setState({ resource, loading: false, sinceMs: clock.monotonicMs(), failures, error: message });
    const fields = {
      event: "worker.resource.failed",
      resource,
      failures,
      elapsed_ms: elapsedMs,
      error: messageOf(error),
      traceback: tracebackOf(error),
    };
    log.error(fields, `loading ${resource} failed`);
  }

  #setState(state: ResourceStateMessage): void {
    this.#states.set(state.resource, state);
    this.#send();
  }

  #forget(resource: string): void {
    if (this.#states.delete(resource)) this.#send();
  }

  #send(): void {
    this.#parts.link.send({ kind: "resourceStates", states: [...this.#states.values()] });
  }
}

/** Loaders of resources. */
import { WorkerStartedError } from "../errors.ts";
import { OptionsError } from "../options/options-error.ts";

/** What a loader is called with. */
export interface LoadRequest {
  /** The resource's full name, for a loader that is registered for a prefix. */
  readonly resource: string;
  /** Tasks that waited for it when the scheduler asked, counted up to 10,000. */
  readonly waitingTasks: number;
  /** Aborts when the resource is no longer wanted or the worker ends. */
  readonly signal: AbortSignal;
}

/**
 * Loads and releases a resource, for example a model.
 *
 * @example
 * ```ts
 * worker.resources.register("model:*", {
 *   load: ({ resource, signal }) => models.load(resource, signal),
 *   release: ({ resource }) => models.unload(resource),
 * });
 * ```
 */
export interface ResourceLoader {
  /**
   * Loads the resource; it counts as loaded once this returns or resolves. A throw is reported, and the scheduler asks
   * again later.
   */
  readonly load: (request: LoadRequest) => unknown;
  /** Releases the resource; it stops counting as loaded before this is called. @default nothing is called */
  readonly release?: (request: { readonly resource: string; readonly reason: string }) => unknown;
}

/** Longest name of a resource. */
const MAX_NAME = 256;

/** The loaders of a worker: what it can load when the scheduler asks. */
export class ResourceLoaders {
  readonly #loaders = new Map<string, ResourceLoader>();
  #sealed = false;

  /**
   * @throws OptionsError when the name or the loader is not valid, or the name is taken; WorkerStartedError when
   * sealed.
   */
  register(name: string, loader: ResourceLoader): void {
    if (this.#sealed) throw new WorkerStartedError(`resource ${name}`);
    const fault = this.#fault(name, loader);
    if (fault !== undefined) throw new OptionsError("resources.register", [fault]);
    this.#loaders.set(name, loader);
  }

  /** The worker has started: Hello lists the names, so that no more may come. */
  seal(): void {
    this.#sealed = true;
  }

  /** False when nothing can be loaded on request. */
  get any(): boolean {
    return this.#loaders.size > 0;
  }

  /** What can be loaded on request, as Hello lists it: empty for every resource when `any`. */
  get names(): readonly string[] {
    return this.#loaders.has("*") ? [] : [...this.#loaders.keys()];
  }

  /** The loader of a resource: its own, else that of the longest prefix. */
  find(resource: string): ResourceLoader | undefined {
    const own = this.#loaders.get(resource);
    if (own !== undefined) return own;
    const [prefix] = [...this.#loaders.keys()]
      .filter((name) => name.endsWith("*") && resource.startsWith(name.slice(0, -1)))
      .sort((a, b) => b.length - a.length);
    return prefix === undefined ? undefined : this.#loaders.get(prefix);
  }

  #fault(name: string, loader: ResourceLoader): string | undefined {
    if (typeof name !== "string" || name === "" || name.length > MAX_NAME || name.includes("\0")) {
      return `resource ${JSON.stringify(name)}: must be text of 1 to ${MAX_NAME} characters, for example model:x or model:*`;
    }
    if (typeof loader?.load !== "function") return `resource ${name}: has no load function; give { load }`;
    if (loader.release !== undefined && typeof loader.release !== "function") {
      return `resource ${name}: release is not a function`;
    }
    return this.#loaders.has(name)
      ? `resource ${name}: is registered already; each name has one loader`
      : undefined;
  }
}

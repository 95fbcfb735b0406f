/** The API of a worker's resources. */
import type { ResourceLoader, ResourceLoaders } from "./resource-loaders.ts";

/**
 * The resources of a worker (models, caches, ...): which are loaded, and how others are loaded on request. Tasks that
 * require a resource run only on workers that have it loaded. It is `worker.resources`; it is not made by hand.
 *
 * @example
 * ```ts
 * // Loaded when tasks wait for it; the scheduler asks.
 * worker.resources.register("model:x", {
 *   load: ({ signal }) => loadModel("x", signal),
 *   release: () => unloadModel("x"),
 * });
 * // Loaded already.
 * worker.resources.add("cache:pages");
 * ```
 */
export class Resources implements Iterable<string> {
  readonly #names: Set<string>;
  readonly #loaders: ResourceLoaders;
  readonly #changed: (names: readonly string[]) => void;

  /** @internal */
  constructor(
    names: Iterable<string>,
    loaders: ResourceLoaders,
    changed: (names: readonly string[]) => void,
  ) {
    this.#names = new Set(names);
    this.#loaders = loaders;
    this.#changed = changed;
  }

  /**
   * Registers how a resource is loaded. While tasks wait for it and too few workers have it, the scheduler asks this
   * worker to load it; tasks that require it are assigned once `load` has returned. Call it before the worker starts,
   * once a name.
   *
   * @param name 1 to 256 characters, for example `model:whisper-large`. A name that ends in `*` is a prefix, `*` alone
   * stands for every resource; the longest name that fits wins.
   * @throws OptionsError when the name or the loader is not valid, or the name is registered already.
   * @throws WorkerStartedError after the start of the worker.
   */
  register(name: string, loader: ResourceLoader): this {
    this.#loaders.register(name, loader);
    return this;
  }

  /** Marks a resource as loaded, and reports it to the scheduler at once. */
  add(name: string): void {
    if (this.#names.has(name)) return;
    this.#names.add(name);
    this.#changed([...this.#names]);
  }

  /** Marks a resource as no longer loaded, and reports it to the scheduler at once. */
  remove(name: string): void {
    if (this.#names.delete(name)) this.#changed([...this.#names]);
  }

  /** True when the resource is loaded. */
  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** Names of the loaded resources. */
  [Symbol.iterator](): IterableIterator<string> {
    return this.#names.values();
  }
}

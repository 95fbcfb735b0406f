import type { CompiledOptions } from "../options/options.ts";
import { OptionsError } from "../options/options-error.ts";

/** What a loader is told. */
export interface LoadRequest {
  /** The resource, for a loader that was registered for several by a prefix. */
  readonly resource: string;
  /** Tasks that wait for it, when it was asked for; counted to 10,000. */
  readonly waitingTasks: number;
  /** Aborts when the resource is no longer wanted or the worker ends. */
  readonly signal: AbortSignal;
}

/** Loads and drops a resource, for example a model. */
export interface ResourceLoader {
  /** Loads it; it counts as loaded when this returns. A throw is reported, and it is asked for again later. */
  readonly load: (request: LoadRequest) => unknown;
  /** Drops it; it stops counting as loaded before this is called. */
  readonly release?: (request: { readonly resource: string; readonly reason: string }) => unknown;
}

/** Longest name of a resource. */
const MAX_NAME = 256;

/** The loaders of a worker: what it can load when the scheduler asks. */
export class ResourceLoaders {
  readonly #options: Pick<CompiledOptions, "onPrepareResource" | "onReleaseResource">;
  readonly #loaders = new Map<string, ResourceLoader>();

  constructor(options: Pick<CompiledOptions, "onPrepareResource" | "onReleaseResource">) {
    this.#options = options;
  }

  /** @throws OptionsError when the name or the loader is not valid, or the name is taken. */
  register(name: string, loader: ResourceLoader): void {
    const fault = this.#fault(name, loader);
    if (fault !== undefined) throw new OptionsError("resource", [fault]);
    this.#loaders.set(name, loader);
  }

  /** False when nothing can be asked for. */
  get any(): boolean {
    return this.#loaders.size > 0 || this.#options.onPrepareResource !== undefined;
  }

  /** What can be asked for, as Hello says it: empty for anything when `any`. */
  get names(): readonly string[] {
    return this.#options.onPrepareResource === undefined ? [...this.#loaders.keys()] : [];
  }

  /** The loader of a resource: its own, else that of the longest prefix, else the option's. */
  find(resource: string): ResourceLoader | undefined {
    const own = this.#loaders.get(resource);
    if (own !== undefined) return own;
    const [prefix] = [...this.#loaders.keys()]
      .filter((name) => name.endsWith("*") && resource.startsWith(name.slice(0, -1)))
      .sort((a, b) => b.length - a.length);
    if (prefix !== undefined) return this.#loaders.get(prefix);
    const { onPrepareResource, onReleaseResource } = this.#options;
    if (onPrepareResource === undefined) return undefined;
    return {
      load: () => onPrepareResource(resource),
      release: ({ reason }) => onReleaseResource?.(resource, reason),
    };
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
      ? `resource ${name}: was registered before; each name has one loader`
      : undefined;
  }
}

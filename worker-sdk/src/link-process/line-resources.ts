/** Resources that the worker's process loads when the link asks. */
import { ResourceLoaders } from "../resources/resource-loaders.ts";
import { Resources } from "../resources/resources.ts";
import type { WorkerLine } from "./lines/worker-line.ts";

/** Asks the worker to load and to drop resources. */
export class LineResources {
  readonly resources: Resources;
  readonly loaders = new ResourceLoaders();
  readonly #loading = new Map<string, PromiseWithResolvers<void>>();

  /**
   * @param loadable Names that may be asked for.
   * @param changed Called with the names of all loaded resources.
   */
  constructor(
    loaded: readonly string[],
    loadable: readonly string[],
    write: (line: { readonly kind: string } & Readonly<Record<string, unknown>>) => void,
    changed: (names: readonly string[]) => void,
  ) {
    this.resources = new Resources(loaded, this.loaders, changed);
    for (const name of loadable)
      this.resources.register(name, {
        load: async ({ resource, waitingTasks, signal }) => {
          const loading = Promise.withResolvers<void>();
          this.#loading.set(resource, loading);
          write({ kind: "prepare", resource, waiting_tasks: waitingTasks });
          const stop = (): void => loading.reject(new Error(`it is not wanted any more: ${signal.reason}`));
          signal.addEventListener("abort", stop, { once: true });
          try {
            await loading.promise;
          } finally {
            signal.removeEventListener("abort", stop);
            if (this.#loading.get(resource) === loading) this.#loading.delete(resource);
          }
        },
        release: ({ resource, reason }) => write({ kind: "release", resource, reason }),
      });
    this.loaders.seal();
  }

  /** The worker reports a resource. */
  receive({ name, state, error }: Extract<WorkerLine, { kind: "resource" }>): void {
    const loading = this.#loading.get(name);
    if (state === "failed") loading?.reject(new Error(error || "the worker gave no reason"));
    else if (state === "released") {
      loading?.reject(new Error("the worker has dropped it"));
      this.resources.remove(name);
    } else if (loading !== undefined) loading.resolve();
    else this.resources.add(name);
  }
}

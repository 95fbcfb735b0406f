/** Gives the CLI access to the parts of a worker. */
import type { CompiledOptions } from "../options/compiled-options.ts";
import type { ResourceLoaders } from "../resources/resource-loaders.ts";
import type { Resources } from "../resources/resources.ts";

/**
 * The method of a worker that gives its parts. A registered symbol: the CLI's copy of this package asks the copy that the
 * worker's file has imported.
 */
export const LOCAL: unique symbol = Symbol.for("@muster/worker/local");

/** The parts of a worker that its options make. */
export interface LocalParts {
  readonly options: CompiledOptions;
  readonly resources: Resources;
  readonly loaders: ResourceLoaders;
}

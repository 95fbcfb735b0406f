/** The options of a worker whose handlers are in another process. */
import type { CompiledOptions } from "../options/compiled-options.ts";
import type { Environment } from "../options/connection-options.ts";
import { compileOptions } from "../options/options.ts";
import type { WorkerOptions } from "../options/worker-options.ts";
import type { StartupReporter } from "../run/startup.ts";
import type { HelloLine } from "./lines/hello-line.ts";

/** Options that the command line of the link gives. */
export type GivenOptions = Pick<WorkerOptions, "scheduler" | "token" | "tls" | "id" | "pool">;

/** Never called: the worker's process runs the attempts. */
function unreachable(): never {
  throw new Error("the handler of a worker in another process was called in the link");
}

/**
 * Checks what a worker says of itself, as the options of the SDK are checked.
 *
 * @throws OptionsError with every fault at once.
 */
export function helloOptions(
  hello: HelloLine,
  given: GivenOptions,
  env: Environment,
  preflight: (startup: StartupReporter) => unknown,
): CompiledOptions {
  const { slots, prefetch, queues, labels, capacities, resources, pool, buildId } = hello;
  return compileOptions(
    {
      ...given,
      ...(given.pool === undefined && pool !== undefined ? { pool } : {}),
      ...(slots === undefined ? {} : { concurrency: slots }),
      ...(prefetch === undefined ? {} : { prefetch }),
      ...(queues === undefined ? {} : { queues }),
      ...(labels === undefined ? {} : { labels }),
      ...(capacities === undefined ? {} : { capacities }),
      ...(resources === undefined ? {} : { resources }),
      ...(buildId === undefined ? {} : { buildId }),
      preflight,
      tasks: Object.fromEntries(
        hello.types.map(({ name, concurrency, warnAfterS }) => [
          name,
          {
            handler: unreachable,
            ...(concurrency === undefined ? {} : { concurrency }),
            phases: Object.fromEntries(
              Object.entries(warnAfterS).map(([phase, seconds]) => [phase, { warnAfterS: seconds }]),
            ),
          },
        ]),
      ),
    },
    env,
  );
}

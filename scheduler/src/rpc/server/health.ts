import { createRequire } from "node:module";
import type { HealthImplementation } from "grpc-health-check";
import type { Calls } from "./calls.ts";
import { addDeferred, type DeferredMethod, type ServiceTarget } from "./deferred.ts";

/** The methods of `grpc.health.v1`. */
export const HEALTH_METHODS: readonly DeferredMethod[] = [
  { path: "/grpc.health.v1.Health/Check", requestStream: false, responseStream: false },
  { path: "/grpc.health.v1.Health/Watch", requestStream: false, responseStream: true },
  { path: "/grpc.health.v1.Health/List", requestStream: false, responseStream: false },
];

/** Says on `grpc.health.v1` whether the server and each of its services serve. */
export class Health {
  readonly #names: readonly string[];
  #serving = true;
  /** Undefined before the first call. */
  #implementation: HealthImplementation | undefined;

  constructor(services: readonly string[]) {
    this.#names = ["", ...services];
  }

  addTo(server: ServiceTarget, calls: Pick<Calls, "report">): void {
    addDeferred(server, HEALTH_METHODS, (target) => this.mount(target), calls);
  }

  /** Loads the package and adds its service. */
  mount(target: ServiceTarget): void {
    const health = createRequire(import.meta.url)("grpc-health-check") as typeof import("grpc-health-check");
    const status = statusOf(this.#serving);
    this.#implementation = new health.HealthImplementation(
      Object.fromEntries(this.#names.map((name) => [name, status])),
    );
    this.#implementation.addToServer(target);
  }

  setServing(serving: boolean): void {
    if (serving === this.#serving) return;
    this.#serving = serving;
    for (const name of this.#names) this.#implementation?.setStatus(name, statusOf(serving));
  }
}

function statusOf(serving: boolean): "SERVING" | "NOT_SERVING" {
  return serving ? "SERVING" : "NOT_SERVING";
}

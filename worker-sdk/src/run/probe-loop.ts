/** Runs the probe of the option `backpressure` again and again, and reports what it returns. */
import type { Clock } from "../clock.ts";
import type { Link } from "../link/link.ts";
import type { Logger } from "../logging/logger.ts";
import type { CompiledBackpressure } from "../options/backpressure.ts";

/** Failures in a row after which the pause of a probe ends: it would otherwise last for as long as the probe is broken. */
const MAX_FAILURES = 3;

/** Longest reason, characters. */
const MAX_REASON = 500;

export interface ProbeLoopParts {
  readonly probe: NonNullable<CompiledBackpressure["probe"]>;
  readonly clock: Clock;
  readonly link: Pick<Link, "send">;
  readonly log: Pick<Logger, "warn" | "info">;
}

export class ProbeLoop {
  readonly #parts: ProbeLoopParts;
  #failures = 0;
  #stopped = false;
  #cancel: () => void = () => undefined;

  constructor(parts: ProbeLoopParts) {
    this.#parts = parts;
  }

  start(): void {
    void this.#run();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  async #run(): Promise<void> {
    const { probe, clock } = this.#parts;
    const outcome = await this.#ask();
    if (this.#stopped) return;
    if ("error" in outcome) this.#failed(outcome.error);
    else this.#succeeded(outcome.reason);
    this.#cancel = clock.after(probe.intervalMs, () => void this.#run());
  }

  async #ask(): Promise<{ readonly reason: string | undefined } | { readonly error: unknown }> {
    const { probe, clock } = this.#parts;
    const abort = new AbortController();
    const late = Promise.withResolvers<{ readonly error: unknown }>();
    this.#cancel = clock.after(probe.timeoutMs, () => {
      const error = new Error(`the probe did not return within ${probe.timeoutMs / 1_000} s`);
      late.resolve({ error });
      abort.abort(error);
    });
    const asked = (async () => {
      try {
        return { reason: reasonOf(await probe.run({ signal: abort.signal })) };
      } catch (error) {
        return { error };
      }
    })();
    const outcome = await Promise.race([asked, late.promise]);
    this.#cancel();
    return outcome;
  }

  #succeeded(reason: string | undefined): void {
    const { link, log } = this.#parts;
    if (this.#failures > 0) log.info({ event: "worker.probe.recovered", failures: this.#failures });
    this.#failures = 0;
    link.send({ kind: "probed", reason });
  }

  #failed(error: unknown): void {
    const { link, log } = this.#parts;
    this.#failures += 1;
    link.send({ kind: "probeFailed" });
    // The first, second, fourth, ...
    if ((this.#failures & (this.#failures - 1)) === 0)
      log.warn(
        { event: "worker.probe.failed", error: messageOf(error), failures: this.#failures },
        "the probe of the option backpressure failed",
      );
    if (this.#failures === MAX_FAILURES) link.send({ kind: "probed", reason: undefined });
  }
}

function reasonOf(returned: unknown): string | undefined {
  if (returned === undefined || returned === null || returned === "" || returned === false) return undefined;
  if (typeof returned === "string") return returned.slice(0, MAX_REASON);
  throw new TypeError(`the probe returned ${typeof returned}; return a text or undefined`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** The pauses of a worker: its program's, the operator's, and by its own measures. It takes tasks again when all have ended. */
import type { Runner } from "../attempt/runner.ts";
import type { Link } from "../link/link.ts";
import type { PauseCause } from "../link/messages.ts";
import type { Logger } from "../logging/logger.ts";

export class Pauses {
  readonly #parts: PausesParts;
  readonly #reasons = new Map<PauseCause | "pressure", string>();

  constructor(parts: PausesParts) {
    this.#parts = parts;
  }

  /** Rejects new tasks until the pause of this cause, and every other one, has ended. */
  pause(by: PauseCause, reason: string): void {
    const { runner, link, log } = this.#parts;
    this.#reasons.set(by, reason);
    runner.setRejectReason("PAUSED");
    link.send({ kind: "paused", by, reason });
    log.info({ event: "worker.paused", by, reason }, "worker paused");
  }

  /** Ends the pause of this cause. */
  resume(by: PauseCause, reason: string): void {
    const { link, log } = this.#parts;
    if (!this.#reasons.delete(by)) return;
    const others = [...this.#reasons].map(([cause, why]) => `${cause}: ${why}`);
    this.#acceptAgain();
    link.send({ kind: "paused", by, reason: undefined });
    const still = others.length === 0 ? {} : { still_paused: others };
    log.info({ event: "worker.resumed", by, reason, ...still }, "worker resumed");
  }

  /** The connection's thread measured a pressure, or no more; it has logged and reported that itself. */
  pressed(reason: string | undefined): void {
    if (reason !== undefined) {
      this.#reasons.set("pressure", reason);
      this.#parts.runner.setRejectReason("PAUSED");
    } else if (this.#reasons.delete("pressure")) this.#acceptAgain();
  }

  /** What a Welcome says of the operator's pause: a Resume may have been sent while the stream was down. */
  welcomed(reason: string | undefined): void {
    if (reason === undefined) this.resume("operator", "it ended while the worker was not connected");
    else if (this.#reasons.get("operator") !== reason) this.pause("operator", reason);
  }

  #acceptAgain(): void {
    if (this.#reasons.size === 0) this.#parts.runner.setRejectReason(undefined);
  }
}

export interface PausesParts {
  readonly runner: Pick<Runner, "setRejectReason">;
  readonly link: Pick<Link, "send">;
  readonly log: Pick<Logger, "info">;
}

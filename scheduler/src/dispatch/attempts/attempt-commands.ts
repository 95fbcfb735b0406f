/** Commands about attempts of sessions here, which may be read before their attempts. */
import type { Clock } from "../../clock.ts";
import type { AttemptKey } from "../../domain/ids.ts";
import type { Command } from "../../store/store.ts";

/**
 * A command may be read before the answer of the claim that assigned the attempt, or of the registration that brings it along.
 * It is tried again with every read of commands for so long, milliseconds: twice as long as a statement may take.
 */
const EARLY_MS = 30_000;

/** What is to be done with an attempt, and why. */
export interface AttemptCommand {
  readonly sessionId: number;
  readonly key: AttemptKey;
  readonly reason: string;
}

/** Carries out commands of one kind, and keeps those that came before their attempts. */
export class AttemptCommands {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #carryOut: (command: AttemptCommand) => boolean;
  #early: { readonly command: AttemptCommand; readonly until: number }[] = [];

  /** @param carryOut Answers false while the attempt may still come. */
  constructor(clock: Pick<Clock, "monotonic">, carryOut: (command: AttemptCommand) => boolean) {
    this.#clock = clock;
    this.#carryOut = carryOut;
  }

  run(command: AttemptCommand): void {
    if (!this.#carryOut(command)) this.#early.push({ command, until: this.#clock.monotonic() + EARLY_MS });
  }

  /** Tries again what came before its attempt. */
  tryAgain(): void {
    if (this.#early.length === 0) return;
    const now = this.#clock.monotonic();
    this.#early = this.#early.filter(({ command, until }) => now < until && !this.#carryOut(command));
  }
}

/** The command as another scheduler sent it. */
export function toAttemptCommand({ sessionId, body }: Pick<Command, "body" | "sessionId">): AttemptCommand {
  const key = { taskId: Number(body.task_id), epoch: Number(body.epoch) };
  return { sessionId, key, reason: body.reason ?? "" };
}

/** Reads the stack of a main loop that is blocked, seldom enough to cost nothing that counts. */
import { create } from "@bufbuild/protobuf";
import { type MainStack as MainStackMessage, MainStackSchema } from "@muster/protocol";
import type { Clock } from "../../clock.ts";
import { durationFromMs } from "../../duration.ts";

/** A loop that has not turned for this long is called blocked, as the scheduler calls it. */
const BLOCKED_MS = 1_000;

/** Wait between two reads of one block, doubled with each: at 66 ms a read is 0.2 % of a core. */
const FIRST_WAIT_MS = 30_000;

const MAX_WAIT_MS = 600_000;

/** A stack of the main thread. */
export interface MainStack {
  /** The innermost frame first. */
  readonly frames: readonly string[];
  /** Since it was read, milliseconds. */
  readonly ageMs: number;
  /** How long the loop had been blocked when it was read, milliseconds. */
  readonly blockedMs: number;
}

export interface BlockedStackParts {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly read: () => Promise<readonly string[]>;
  /** A stack was read: the scheduler should know it. */
  readonly changed: () => void;
  /** It cannot be read, and is not tried again. */
  readonly unavailable: (error: unknown) => void;
}

/** A block of the loop, from when it was noticed. */
interface Block {
  readAtMs: number;
  waitMs: number;
  stack: Omit<MainStack, "ageMs"> | undefined;
}

/** The stack of the main loop while that is blocked. */
export class BlockedStack {
  readonly #parts: BlockedStackParts;
  /** Of the block that lasts; undefined while the loop turns. */
  #block: Block | undefined;
  #reading = false;
  #unavailable = false;

  constructor(parts: BlockedStackParts) {
    this.#parts = parts;
  }

  /** The last stack of the block that lasts. */
  get current(): MainStack | undefined {
    const { readAtMs, stack } = this.#block ?? {};
    if (readAtMs === undefined || !stack) return undefined;
    return { ...stack, ageMs: this.#parts.clock.monotonicMs() - readAtMs };
  }

  /** The field of a heartbeat; none while the loop turns. */
  inHeartbeat(): { readonly mainStack?: MainStackMessage } {
    const stack = this.current;
    if (!stack) return {};
    const [age, blockedAge] = [durationFromMs(stack.ageMs), durationFromMs(stack.blockedMs)];
    return { mainStack: create(MainStackSchema, { frames: [...stack.frames], age, blockedAge }) };
  }

  /** Looks whether it is time to read; called with each heartbeat. @param loopAgeMs Since the loop last turned. */
  look(loopAgeMs: number): void {
    if (loopAgeMs < BLOCKED_MS) {
      this.#block = undefined;
      return;
    }
    if (this.#reading || this.#unavailable) return;
    const now = this.#parts.clock.monotonicMs();
    if (this.#block && now - this.#block.readAtMs < this.#block.waitMs) return;
    const waitMs = this.#block ? Math.min(this.#block.waitMs * 2, MAX_WAIT_MS) : FIRST_WAIT_MS;
    const block: Block = { readAtMs: now, waitMs, stack: this.#block?.stack };
    this.#block = block;
    void this.#read(block, loopAgeMs);
  }

  async #read(block: Block, blockedMs: number): Promise<void> {
    this.#reading = true;
    try {
      const frames = await this.#parts.read();
      // The loop may have turned meanwhile.
      if (this.#block !== block) return;
      block.readAtMs = this.#parts.clock.monotonicMs();
      block.stack = { frames, blockedMs };
      this.#parts.changed();
    } catch (error) {
      this.#unavailable = true;
      this.#parts.unavailable(error);
    } finally {
      this.#reading = false;
    }
  }
}

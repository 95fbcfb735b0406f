/** Memory that the threads share. */

const TICK = 0;
const DELAY_P99 = 1;
const HEAP_USED = 2;
const RESET_DELAY = 0;
const FATAL_SENT = 1;
const MAIN_EXITS = 2;
const LINK_TURNS = 3;
const BLOCKED_PART = 4;

/** What of a worker does not turn. */
export type BlockedPart = "loop" | "interpreter";

/** By the value of BLOCKED_PART; 0 is nothing. */
const PARTS: readonly (BlockedPart | undefined)[] = [undefined, "loop", "interpreter"];

/** Values of FATAL_SENT. */
const SENT = 1;
const REFUSED = 2;

/** Memory that both threads read and write directly, so that it is current while either is busy. */
export class SharedState {
  readonly buffer: SharedArrayBuffer;
  readonly #micros: BigInt64Array;
  readonly #flags: Int32Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(56)) {
    this.buffer = buffer;
    this.#micros = new BigInt64Array(buffer, 0, 4);
    this.#flags = new Int32Array(buffer, 32, 6);
  }

  /**
   * Main: records a turn of its loop and the 99th percentile of its delays; true when the percentile has to be reset.
   */
  tick(nowMs: number, delayP99Ms: number): boolean {
    Atomics.store(this.#micros, TICK, BigInt(Math.round(nowMs * 1000)));
    Atomics.store(this.#micros, DELAY_P99, BigInt(Math.round(delayP99Ms * 1000)));
    return Atomics.exchange(this.#flags, RESET_DELAY, 0) === 1;
  }

  /** Main: heap that it uses; a thread can only read its own. */
  set heapUsedBytes(bytes: number) {
    Atomics.store(this.#micros, HEAP_USED, BigInt(bytes));
  }

  /** Link: heap that main uses. */
  get heapUsedBytes(): number {
    return Number(Atomics.load(this.#micros, HEAP_USED));
  }

  /** Main: what of a worker in another process does not turn; undefined when all does. */
  set blockedPart(part: BlockedPart | undefined) {
    Atomics.store(this.#flags, BLOCKED_PART, PARTS.indexOf(part));
  }

  /** Link: the same. */
  get blockedPart(): BlockedPart | undefined {
    return PARTS[Atomics.load(this.#flags, BLOCKED_PART)];
  }

  /** Link: when main's loop last turned, in milliseconds of the monotonic clock. */
  get lastTickMs(): number {
    return Number(Atomics.load(this.#micros, TICK)) / 1000;
  }

  /** Link: main's delay percentile in milliseconds. */
  get delayP99Ms(): number {
    return Number(Atomics.load(this.#micros, DELAY_P99)) / 1000;
  }

  /** Link: the same; main resets the percentile at its next tick. */
  takeDelayP99Ms(): number {
    Atomics.store(this.#flags, RESET_DELAY, 1);
    return this.delayP99Ms;
  }

  /** Link: its loop turned. */
  linkTurned(): void {
    Atomics.add(this.#flags, LINK_TURNS, 1);
  }

  /** Main: a number that changes as long as the link's loop turns; 0 before its first turn. */
  get linkTurns(): number {
    return Atomics.load(this.#flags, LINK_TURNS);
  }

  /** Main: blocks until the link has sent the fatal report. False: not in time, or refused. */
  waitFatalSent(timeoutMs: number): boolean {
    Atomics.wait(this.#flags, FATAL_SENT, 0, timeoutMs);
    return Atomics.load(this.#flags, FATAL_SENT) === SENT;
  }

  /** Link: the scheduler has taken the fatal report, or refused it. */
  markFatalSent(taken: boolean): void {
    Atomics.store(this.#flags, FATAL_SENT, taken ? SENT : REFUSED);
    Atomics.notify(this.#flags, FATAL_SENT);
  }

  /** Main: records that it ends the worker. */
  markMainExits(): void {
    Atomics.store(this.#flags, MAIN_EXITS, 1);
  }

  /** Link: true when main ends the worker. */
  get mainExits(): boolean {
    return Atomics.load(this.#flags, MAIN_EXITS) === 1;
  }
}

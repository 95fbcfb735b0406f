const TICK = 0;
const DELAY_P99 = 1;
const HEAP_USED = 2;
const RESET_DELAY = 0;
const FATAL_SENT = 1;
const MAIN_EXITS = 2;
const LINK_TURNS = 3;

/** Values of FATAL_SENT. */
const SENT = 1;
const REFUSED = 2;

/** Memory that both threads see at once, whatever either is busy with. */
export class SharedState {
  readonly buffer: SharedArrayBuffer;
  readonly #micros: BigInt64Array;
  readonly #flags: Int32Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(48)) {
    this.buffer = buffer;
    this.#micros = new BigInt64Array(buffer, 0, 4);
    this.#flags = new Int32Array(buffer, 32, 4);
  }

  /** Main: its loop turned at this moment, with this 99th percentile of delay; true asks it to start the percentile anew. */
  tick(nowMs: number, delayP99Ms: number): boolean {
    Atomics.store(this.#micros, TICK, BigInt(Math.round(nowMs * 1000)));
    Atomics.store(this.#micros, DELAY_P99, BigInt(Math.round(delayP99Ms * 1000)));
    return Atomics.exchange(this.#flags, RESET_DELAY, 0) === 1;
  }

  /** Main: heap that it uses; a thread sees only its own. */
  set heapUsedBytes(bytes: number) {
    Atomics.store(this.#micros, HEAP_USED, BigInt(bytes));
  }

  /** Link: heap that main uses. */
  get heapUsedBytes(): number {
    return Number(Atomics.load(this.#micros, HEAP_USED));
  }

  /** Link: when main's loop last turned, in milliseconds of the monotonic clock. */
  get lastTickMs(): number {
    return Number(Atomics.load(this.#micros, TICK)) / 1000;
  }

  /** Link: main's delay percentile in milliseconds. */
  get delayP99Ms(): number {
    return Number(Atomics.load(this.#micros, DELAY_P99)) / 1000;
  }

  /** Link: the same; main starts a new one at its next tick. */
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

  /** Main: waits, without turning its loop, until the link has sent the last words. False: not in time, or refused. */
  waitFatalSent(timeoutMs: number): boolean {
    Atomics.wait(this.#flags, FATAL_SENT, 0, timeoutMs);
    return Atomics.load(this.#flags, FATAL_SENT) === SENT;
  }

  /** Link: the scheduler has the last words, or will not take them. */
  markFatalSent(taken: boolean): void {
    Atomics.store(this.#flags, FATAL_SENT, taken ? SENT : REFUSED);
    Atomics.notify(this.#flags, FATAL_SENT);
  }

  /** Main: has seen that the worker must end and is at it. */
  markMainExits(): void {
    Atomics.store(this.#flags, MAIN_EXITS, 1);
  }

  /** Link: whether main is ending the worker. */
  get mainExits(): boolean {
    return Atomics.load(this.#flags, MAIN_EXITS) === 1;
  }
}

/** The slots of attempts whose handlers wait: freed for others meanwhile, and taken again before the handlers go on. */
import { MAX_NAMED_WAITS, MAX_SLOT_RELEASES } from "@muster/protocol/constants";
import type { Clock } from "../../clock.ts";
import type { Link } from "../../link/link.ts";
import type { TaskLog } from "../../logging/logger.ts";
import type { TaskCost } from "./capacity-use.ts";

/** What a handler waits for. */
export interface SlotWait {
  /** The task whose end it waits for; undefined for something else. */
  readonly taskId?: string;
  /** What it waits for besides, as text; empty when it does not say. */
  readonly reason: string;
}

/** What is needed of an attempt. */
export interface WaitingAttempt {
  readonly id: string;
  readonly assignment: { readonly cost: TaskCost; readonly type: string };
  readonly signal: AbortSignal;
  readonly ownLog: Pick<TaskLog, "warn">;
}

/** What the runner does with slots. */
export interface SlotKeeper {
  /** The attempt's slots are free. */
  free(attempt: WaitingAttempt): void;
  /** Takes them; false when there is no room now. */
  tryTake(attempt: WaitingAttempt): "taken" | "no_room" | "type_full";
  /** There may be room for others. */
  startWaiting(): void;
}

/** The slots of one attempt. */
interface Entry {
  readonly attempt: WaitingAttempt;
  readonly waits: Set<SlotWait>;
  /**
   * `held`: it waits with its slots. `released`: they are free. `returning`: no wait is left, and there is no room for it. `gone`:
   * it has to stop and takes none.
   */
  state: "held" | "released" | "returning" | "gone";
  sinceMs: number;
  /** Resolves when the handler may go on; of all waits that end together. */
  back: PromiseWithResolvers<void> | undefined;
  stopListening: () => void;
}

/** Frees and takes slots for the waits of handlers. Of one attempt they are freed with its first wait, and taken with the end of the last. */
export class SlotReleases {
  readonly #keeper: SlotKeeper;
  readonly #link: Pick<Link, "send">;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #limit: number;
  readonly #entries = new Map<string, Entry>();
  /** In the order in which their waits ended. */
  readonly #returning = new Set<Entry>();
  #releasedCount = 0;
  /** Attempts that have to stop and take no slots any more. */
  #goneCount = 0;
  #supported = false;

  /** @param places Slots and prefetch of the worker. */
  constructor(
    keeper: SlotKeeper,
    { link, clock }: { link: Pick<Link, "send">; clock: Pick<Clock, "monotonicMs"> },
    places: number,
  ) {
    this.#keeper = keeper;
    this.#link = link;
    this.#clock = clock;
    this.#limit = MAX_SLOT_RELEASES + places;
  }

  /** Whether the scheduler counts freed slots; what is released stays so. */
  setSupported(supported: boolean): void {
    this.#supported = supported;
  }

  /** Attempts that are without their slots now, those that wait to take them among them. */
  get absent(): Iterable<WaitingAttempt> {
    return [...this.#entries.values()].filter(({ state }) => state !== "held").map(({ attempt }) => attempt);
  }

  /** True while the attempt is without its slots. */
  isAbsent({ id }: Pick<WaitingAttempt, "id">): boolean {
    const state = this.#entries.get(id)?.state;
    return state !== undefined && state !== "held";
  }

  /** How many these are. */
  get absentCount(): number {
    return this.#releasedCount + this.#returning.size + this.#goneCount;
  }

  /** A handler begins to wait. */
  begin(attempt: WaitingAttempt, wait: SlotWait): void {
    const entry = this.#entryOf(attempt);
    entry.waits.add(wait);
    if (entry.state === "returning") {
      this.#returning.delete(entry);
      entry.state = "released";
      this.#releasedCount += 1;
    } else if (entry.state === "held" && entry.waits.size === 1 && this.#mayRelease(attempt)) {
      entry.state = "released";
      entry.sinceMs = this.#clock.monotonicMs();
      this.#releasedCount += 1;
      this.#keeper.free(attempt);
      this.#report(entry);
      this.#keeper.startWaiting();
      return;
    }
    if (entry.state === "released") this.#report(entry);
  }

  /**
   * A wait has ended. Resolves when the attempt has its slots again, which it gets when none of its waits is left and before any
   * other attempt starts; at once when it is to stop.
   */
  async end(attempt: WaitingAttempt, wait: SlotWait): Promise<void> {
    const entry = this.#entries.get(attempt.id);
    if (entry === undefined || !entry.waits.delete(wait)) return;
    if (entry.state === "held" && entry.waits.size === 0) this.#forget(entry);
    if (entry.state === "held" || entry.state === "gone") return;
    entry.back ??= Promise.withResolvers<void>();
    const { promise } = entry.back;
    if (entry.waits.size > 0) this.#report(entry);
    else {
      this.#releasedCount -= 1;
      entry.state = "returning";
      this.#returning.add(entry);
      this.serve();
      // It may have its slots by now.
      if (this.#returning.has(entry)) this.#report(entry);
    }
    await promise;
  }

  /** Gives slots to attempts whose waits are over; false when one of them has no room, so that nothing else may take it. */
  serve(): boolean {
    for (const entry of this.#returning) {
      const took = this.#keeper.tryTake(entry.attempt);
      if (took === "type_full") continue;
      if (took === "no_room") return false;
      this.#returning.delete(entry);
      this.#forget(entry);
      this.#link.send({ kind: "slot", attemptId: entry.attempt.id, release: undefined });
      entry.back?.resolve();
    }
    return true;
  }

  /** The handler has returned. True when its attempt had its slots. */
  ended({ id }: Pick<WaitingAttempt, "id">): boolean {
    const entry = this.#entries.get(id);
    if (entry === undefined) return true;
    const { state } = entry;
    if (state === "released") this.#releasedCount -= 1;
    if (state === "gone") this.#goneCount -= 1;
    this.#returning.delete(entry);
    this.#forget(entry);
    return state === "held";
  }

  #entryOf(attempt: WaitingAttempt): Entry {
    const known = this.#entries.get(attempt.id);
    if (known !== undefined) return known;
    const entry: Entry = {
      ...{ attempt, waits: new Set<SlotWait>(), state: "held", sinceMs: 0, back: undefined },
      stopListening: () => attempt.signal.removeEventListener("abort", stop),
    };
    const stop = () => this.#stopped(entry);
    attempt.signal.addEventListener("abort", stop, { once: true });
    this.#entries.set(attempt.id, entry);
    return entry;
  }

  /** Its handler has to stop: it goes on without the slots, because it has only to clean up. */
  #stopped(entry: Entry): void {
    if (entry.state === "held") return;
    if (entry.state === "released") this.#releasedCount -= 1;
    this.#returning.delete(entry);
    entry.state = "gone";
    this.#goneCount += 1;
    entry.back?.resolve();
  }

  #forget(entry: Entry): void {
    entry.stopListening();
    this.#entries.delete(entry.attempt.id);
  }

  #mayRelease({ signal, ownLog }: WaitingAttempt): boolean {
    if (signal.aborted) return false;
    if (!this.#supported) {
      const fields = { event: "task.slot.kept", reason: "the scheduler is older and counts every attempt" };
      ownLog.warn(fields, "the handler waits with its slot");
      return false;
    }
    if (this.#releasedCount + this.#returning.size < this.#limit) return true;
    const reason = `${this.#limit} attempts of the worker wait without their slots, and no more may`;
    ownLog.warn({ event: "task.slot.kept", reason }, "the handler waits with its slot");
    return false;
  }

  #report({ attempt, waits, state, sinceMs }: Entry): void {
    const taskIds = [...waits].flatMap(({ taskId }) => taskId ?? []);
    const reason = [...waits].find((wait) => wait.reason !== "")?.reason ?? "";
    this.#link.send({
      kind: "slot",
      attemptId: attempt.id,
      release: {
        ...{ sinceMs, reason, taskCount: taskIds.length, returning: state === "returning" },
        taskIds: taskIds.slice(0, MAX_NAMED_WAITS),
      },
    });
  }
}

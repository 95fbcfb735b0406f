/** Remembers why the tasks of a class wait, and since when. */
import type { Clock } from "../../clock.ts";
import type { ReasonCode } from "../../domain/explain/codes.ts";
import { waitCode } from "../../domain/explain/waiting/wait-code.ts";
import type { WaitReason } from "../../domain/tasks/trace.ts";
import type { Admission } from "../admission/admission.ts";
import type { ClassEntry } from "./class-entry.ts";
import type { ClassIndex } from "./class-index.ts";

/** Changes remembered per class. */
const MAX_CHANGES = 32;

/** Time between two looks, milliseconds, and at least so many times what the last took: each asks about every class. */
const LOOK_EVERY_MS = 5;
const LOOK_REST_FACTOR = 20;

/** Why the tasks of each class waited, from when on: the matcher's verdict as it changed. */
export class WaitHistory {
  readonly #classes: ClassIndex;
  readonly #admission: Admission;
  readonly #clock: Clock;
  readonly #byClass = new Map<number, WaitReason[]>();
  #lookedAt = Number.NEGATIVE_INFINITY;
  #everyMs = LOOK_EVERY_MS;
  #later = false;

  constructor(classes: ClassIndex, admission: Admission, clock: Clock) {
    this.#admission = admission;
    this.#classes = classes;
    this.#clock = clock;
  }

  /** Asks the matcher about every class in which something waits: now, or soon when it was asked just now. */
  look(): void {
    if (this.#later) return;
    const left = this.#lookedAt + this.#everyMs - this.#clock.monotonic();
    if (left > 0) {
      this.#later = true;
      this.#clock.after(left, () => {
        this.#later = false;
        this.#lookNow();
      });
    } else this.#lookNow();
  }

  /** What held for a class lately, oldest first. */
  of(classId: number): readonly WaitReason[] {
    return [...(this.#byClass.get(classId) ?? [])];
  }

  /** These classes are no longer known. */
  forget(classIds: readonly number[]): void {
    for (const id of classIds) this.#byClass.delete(id);
  }

  #lookNow(): void {
    this.#lookedAt = this.#clock.monotonic();
    for (const entry of this.#classes.all()) {
      const changes = this.#byClass.get(entry.taskClass.id);
      const held = this.#admission.firstHoldOf(entry.taskClass.id)?.reason.code;
      if (entry.window.size > 0 || held || (changes?.at(-1)?.code ?? "") !== "")
        this.#note(entry, held, changes ?? []);
    }
    this.#everyMs = Math.max(LOOK_EVERY_MS, (this.#clock.monotonic() - this.#lookedAt) * LOOK_REST_FACTOR);
  }

  /** @param held Code of the rule that holds back the class's first task. */
  #note(entry: ClassEntry, held: ReasonCode | undefined, changes: WaitReason[]): void {
    const { id } = entry.taskClass;
    const code =
      entry.window.size === 0
        ? (held ?? "")
        : waitCode(entry.log.read(this.#lookedAt), this.#admission.holdReason(entry.taskClass)?.code);
    if (changes.at(-1)?.code === code) return;
    changes.push({ sinceMs: this.#clock.now(), code });
    if (changes.length > MAX_CHANGES) changes.shift();
    this.#byClass.set(id, changes);
  }
}

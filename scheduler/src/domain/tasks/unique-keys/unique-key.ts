/** Decides whether a task holds its unique key, and what becomes of a submit whose key another task holds. */
import type { TaskState } from "../task.ts";
import { DEFAULT_UNIQUE_RULE, type OnConflict, type UniqueRule, type UniqueWhile } from "./unique-rule.ts";

/** The task that a key belongs to. */
export interface KeyHolder {
  readonly id: number;
  readonly state: TaskState;
  /** Undefined for the default. */
  readonly rule: UniqueRule | undefined;
  /** Since its creation; less than 0 when it was created after the transaction that asks began. */
  readonly ageMs: number;
  /** Class of its work; not the one in which it runs alone. */
  readonly classId: number;
}

/** What a submit does about its key. */
export type KeyDecision =
  | { readonly kind: "take" }
  | { readonly kind: "return" | "replace"; readonly holder: KeyHolder }
  | { readonly kind: "refuse"; readonly holder: KeyHolder; readonly why: RefusedBecause };

/** The submit asks for it, the holder does not wait, or it is of another type or has other requirements. */
export type RefusedBecause = "asked" | "not_queued" | "other_class";

const HOLDING: Readonly<Record<UniqueWhile, ReadonlySet<TaskState>>> = {
  queued: new Set(["queued"]),
  active: new Set(["assigned", "running"]),
  open: new Set(["queued", "assigned", "running"]),
  open_or_succeeded: new Set(["queued", "assigned", "running", "succeeded"]),
  recorded: new Set(["queued", "assigned", "running", "succeeded", "failed", "cancelled"]),
};

/** True while the task that a key belongs to holds it. */
export function holdsKey({
  state,
  rule = DEFAULT_UNIQUE_RULE,
  ageMs,
}: Pick<KeyHolder, "state" | "rule" | "ageMs">): boolean {
  return HOLDING[rule.while].has(state) || (rule.windowMs !== undefined && ageMs < rule.windowMs);
}

/**
 * What a submit does about its key.
 *
 * @param holder The task that the key belongs to; undefined when there is none.
 */
export function decideKey(
  holder: KeyHolder | undefined,
  onConflict: OnConflict,
  classId: number,
): KeyDecision {
  if (!holder || !holdsKey(holder)) return { kind: "take" };
  if (onConflict === "return") return { kind: "return", holder };
  if (onConflict === "refuse") return { kind: "refuse", holder, why: "asked" };
  if (holder.state !== "queued") return { kind: "refuse", holder, why: "not_queued" };
  // Windows of ids are kept by class: a task in one of another class would be assigned to a worker that cannot run it.
  if (holder.classId !== classId) return { kind: "refuse", holder, why: "other_class" };
  return { kind: "replace", holder };
}

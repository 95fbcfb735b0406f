/** The rule of a unique key in protobuf, and back. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  UniqueConflictPolicy,
  type UniqueRule as UniqueRuleMessage,
  type UniqueRuleSchema,
  UniqueWhile as UniqueWhileMessage,
} from "@muster/protocol";
import {
  DEFAULT_UNIQUE_RULE,
  type OnConflict,
  type UniqueRule,
  type UniqueWhile,
} from "../../../domain/tasks/unique-keys/unique-rule.ts";
import { named, unknown } from "../values/names.ts";
import { optional } from "../values/optional.ts";
import { durationFromMs } from "../values/time.ts";
import { milliseconds, type Report } from "./options.ts";

const WHILES: Readonly<Record<UniqueWhile, UniqueWhileMessage>> = {
  queued: UniqueWhileMessage.QUEUED,
  active: UniqueWhileMessage.ACTIVE,
  open: UniqueWhileMessage.OPEN,
  open_or_succeeded: UniqueWhileMessage.OPEN_OR_SUCCEEDED,
  recorded: UniqueWhileMessage.RECORDED,
};

const POLICIES: Readonly<Record<OnConflict, UniqueConflictPolicy>> = {
  return: UniqueConflictPolicy.RETURN_HOLDER,
  replace: UniqueConflictPolicy.REPLACE,
  refuse: UniqueConflictPolicy.REFUSE,
};

/** The rule that is kept with the task, undefined for the default, and what becomes of the submit. */
export function toUniqueRule(
  { heldWhile, window, onConflict }: UniqueRuleMessage,
  report: Report,
): { readonly unique: UniqueRule | undefined; readonly onConflict: OnConflict | undefined } {
  const policy = named(POLICIES, onConflict);
  const held = named(WHILES, heldWhile) ?? (policy === "replace" ? "queued" : DEFAULT_UNIQUE_RULE.while);
  if (onConflict !== UniqueConflictPolicy.UNSPECIFIED && policy === undefined)
    report("unique_rule.on_conflict", unknown(onConflict, POLICIES));
  if (heldWhile !== UniqueWhileMessage.UNSPECIFIED && named(WHILES, heldWhile) === undefined)
    report("unique_rule.held_while", unknown(heldWhile, WHILES));
  const windowMs = window && milliseconds(window, "unique_rule.window", report);
  const isDefault = held === DEFAULT_UNIQUE_RULE.while && !windowMs;
  return {
    unique: isDefault ? undefined : { while: held, ...(windowMs ? { windowMs } : {}) },
    onConflict: policy,
  };
}

/** The rule that a task was submitted with. */
export function fromUniqueRule(
  rule: UniqueRule = DEFAULT_UNIQUE_RULE,
): MessageInitShape<typeof UniqueRuleSchema> {
  return {
    heldWhile: WHILES[rule.while],
    ...optional("window", rule.windowMs === undefined ? undefined : durationFromMs(rule.windowMs)),
  };
}

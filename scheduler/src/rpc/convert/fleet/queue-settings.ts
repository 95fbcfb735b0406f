// Settings of a queue in protobuf, and back.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { BUILD_ID, BUILD_ID_RULE } from "@muster/common/text/name-forms";
import { quoted } from "@muster/common/text/text";
import {
  type BuildRule,
  type BuildRuleSchema,
  type ConfigureQueueRequest,
  MechanismMode,
  QueueSetting,
  type QueueSettingsSchema,
} from "@muster/protocol";
import type * as domain from "../../../domain/builds/build-rule.ts";
import { ruleInWords } from "../../../domain/builds/build-rule.ts";
import type { Violation } from "../../../domain/errors.ts";
import { backoffInWords, waitsInWords } from "../../../domain/explain/waiting/retry-policy.ts";
import {
  MODES,
  type Mode,
  QUEUE_MECHANISMS,
  type QueueMechanism,
  type QueueModes,
} from "../../../domain/mechanisms/mechanism.ts";
import { invalidRequest } from "../../../domain/refusals.ts";
import type { QueueChange, QueueSettings } from "../../../store/store.ts";
import { checkRetries, fromBackoff, fromDelays, type Report, toBackoff, toDelays } from "../tasks/options.ts";
import { optional } from "../values/optional.ts";
import { durationFromMs } from "../values/time.ts";

const DAY_MS = 86_400_000;

type SettingName = keyof QueueSettings;

/** A setting by its number in `cleared`. */
const BY_NUMBER: ReadonlyMap<QueueSetting, SettingName> = new Map([
  [QueueSetting.MAX_RETRY_COUNT, "maxRetries"],
  [QueueSetting.BACKOFF, "backoff"],
  [QueueSetting.LOST_BACKOFF, "lostDelaysMs"],
  [QueueSetting.RETENTION, "keepDays"],
  [QueueSetting.UNACCEPTED_MODE, "unaccepted"],
  [QueueSetting.FORGOTTEN_MODE, "forgotten"],
  [QueueSetting.ATTEMPT_LIMITS_MODE, "attempt_limits"],
  [QueueSetting.POISON_MODE, "poison"],
  [QueueSetting.BUILD_RULE, "builds"],
]);

/** A setting as an event names it. */
const IN_EVENTS: Readonly<Record<SettingName, string>> = {
  maxRetries: "max_retries",
  backoff: "backoff",
  lostDelaysMs: "lost_backoff",
  keepDays: "retention",
  unaccepted: "unaccepted_mode",
  forgotten: "forgotten_mode",
  attempt_limits: "attempt_limits_mode",
  poison: "poison_mode",
  builds: "build_rule",
};

/** The field of each mode in the message. */
const MODE_FIELDS = {
  unaccepted: "unacceptedMode",
  forgotten: "forgottenMode",
  attempt_limits: "attemptLimitsMode",
  poison: "poisonMode",
} as const satisfies Record<QueueMechanism, keyof MessageInitShape<typeof QueueSettingsSchema>>;

const MODE_NUMBERS: Readonly<Record<Mode, MechanismMode>> = {
  off: MechanismMode.OFF,
  observe: MechanismMode.OBSERVE,
  act: MechanismMode.ACT,
};

/** Settings in protobuf. */
export function fromQueueSettings(settings: QueueSettings): MessageInitShape<typeof QueueSettingsSchema> {
  return {
    ...optional("maxRetryCount", settings.maxRetries),
    ...optional("backoff", settings.backoff && fromBackoff(settings.backoff)),
    ...optional("lostBackoff", settings.lostDelaysMs && fromDelays(settings.lostDelaysMs)),
    ...optional("retention", daysAsDuration(settings.keepDays)),
    ...optional("buildRule", settings.builds && fromBuildRule(settings.builds)),
    ...Object.fromEntries(
      QUEUE_MECHANISMS.flatMap((name) => {
        const mode = settings[name];
        return mode === undefined ? [] : [[MODE_FIELDS[name], MODE_NUMBERS[mode]]];
      }),
    ),
  };
}

/**
 * What a request changes, without its reason.
 *
 * @param keepDays The scheduler's own retention, days.
 * @throws Refusal `INVALID_REQUEST` with every fault at once.
 */
export function toQueueChange(request: ConfigureQueueRequest, keepDays: number): Omit<QueueChange, "reason"> {
  const violations: Violation[] = [];
  const report: Report = (field, description) => void violations.push({ field, description });
  const set = toSettings(request.settings, keepDays, report);
  const cleared = [
    ...new Set(
      request.cleared.flatMap((setting, index) => toName(setting, `cleared[${index}]`, report) ?? []),
    ),
  ];
  for (const name of cleared) {
    if (name in set)
      report("cleared", `names ${IN_EVENTS[name]}, for which settings has a value; give one of them`);
  }
  if (violations.length === 0 && Object.keys(set).length === 0 && request.cleared.length === 0)
    report("settings", "changes nothing; give a setting, or name one in cleared");
  const [first, ...others] = violations;
  if (first) throw invalidRequest(first, ...others);
  return { set, clear: cleared, attributes: inEvent(set, cleared) };
}

function toSettings(
  message: ConfigureQueueRequest["settings"],
  keepDays: number,
  report: Report,
): QueueSettings {
  if (!message) return {};
  const { maxRetryCount, lostBackoff, retention } = message;
  if (maxRetryCount !== undefined) checkRetries(maxRetryCount, "settings.max_retry_count", report);
  return {
    ...optional("maxRetries", maxRetryCount),
    ...optional("backoff", toBackoff(message.backoff, "settings", report)),
    ...optional("lostDelaysMs", lostBackoff && toDelays(lostBackoff, "settings.lost_backoff", report)),
    ...optional("keepDays", retention && toDays(retention, keepDays, report)),
    ...optional("builds", message.buildRule && toBuildRule(message.buildRule, report)),
    ...toModes(message, report),
  };
}

function fromBuildRule({ pin, ramp }: domain.BuildRule): MessageInitShape<typeof BuildRuleSchema> {
  return {
    pinnedBuildId: pin ?? "",
    ...(ramp ? { ramp: { buildId: ramp.build, share: ramp.share } } : {}),
  };
}

function toBuildRule({ pinnedBuildId: pin, ramp }: BuildRule, report: Report): domain.BuildRule {
  const at = "settings.build_rule";
  const check = (build: string, field: string) => {
    if (!BUILD_ID.test(build)) report(`${at}.${field}`, `${quoted(build, 140)} ${BUILD_ID_RULE}`);
  };
  if (pin === "" && !ramp) report(at, "names no build; set pinned_build_id, ramp or both");
  if (pin !== "") check(pin, "pinned_build_id");
  if (ramp) {
    if (!(ramp.share > 0 && ramp.share < 1))
      report(`${at}.ramp.share`, `${ramp.share} is not above 0 and below 1`);
    check(ramp.buildId, "ramp.build_id");
    if (ramp.buildId === pin) report(`${at}.ramp.build_id`, `${quoted(pin, 140)} is pinned already`);
  }
  return {
    ...(pin === "" ? {} : { pin }),
    ...(ramp ? { ramp: { build: ramp.buildId, share: ramp.share } } : {}),
  };
}

function daysAsDuration(days: number | undefined) {
  return days === undefined ? undefined : durationFromMs(days * DAY_MS);
}

function toDays({ seconds, nanos }: Duration, most: number, report: Report): number {
  const days = (Number(seconds) + nanos / 1e9) / (DAY_MS / 1_000);
  if (!Number.isInteger(days) || days < 1 || days > most)
    report(
      "settings.retention",
      `${days} days are not whole days from 1 to ${most}, the scheduler's --keep-days; the tasks of no queue are kept for longer`,
    );
  return days;
}

function toModes(message: NonNullable<ConfigureQueueRequest["settings"]>, report: Report): QueueModes {
  const modes: Partial<Record<QueueMechanism, Mode>> = {};
  for (const name of QUEUE_MECHANISMS) {
    const given = message[MODE_FIELDS[name]];
    if (given === undefined) continue;
    const mode = MODES.find((each) => MODE_NUMBERS[each] === given);
    if (mode) modes[name] = mode;
    else
      report(
        `settings.${IN_EVENTS[name]}`,
        `${given} is no mode; allowed are ${MODES.map((each) => `${MODE_NUMBERS[each]} (${each})`).join(", ")}`,
      );
  }
  return modes;
}

function toName(setting: QueueSetting, field: string, report: Report): SettingName | undefined {
  const name = BY_NUMBER.get(setting);
  if (name === undefined)
    report(field, `${setting} is no setting; allowed are ${[...BY_NUMBER.keys()].join(", ")}`);
  return name;
}

function inEvent(set: QueueSettings, cleared: readonly SettingName[]): Record<string, string> {
  const names = cleared.map((name) => IN_EVENTS[name]);
  return {
    ...optional("max_retries", set.maxRetries?.toString()),
    ...optional("backoff", set.backoff && backoffInWords(set.backoff)),
    ...optional("lost_backoff", set.lostDelaysMs && waitsInWords(set.lostDelaysMs)),
    ...optional("build_rule", set.builds && ruleInWords(set.builds)),
    ...optional("retention", set.keepDays === undefined ? undefined : `${set.keepDays}d`),
    ...Object.fromEntries(
      QUEUE_MECHANISMS.flatMap((name) => (set[name] === undefined ? [] : [[IN_EVENTS[name], set[name]]])),
    ),
    ...(names.length === 0 ? {} : { cleared: names.join(", ") }),
  };
}

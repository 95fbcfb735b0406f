// Settings of a queue in protobuf, and back.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { type ConfigureQueueRequest, QueueSetting, type QueueSettingsSchema } from "@muster/protocol";
import type { Violation } from "../../../domain/errors.ts";
import { backoffInWords, waitsInWords } from "../../../domain/explain/retry-policy.ts";
import { invalidRequest } from "../../../domain/refusals.ts";
import type { QueueChange, QueueSettings } from "../../../store/store.ts";
import { checkRetries, fromBackoff, fromDelays, type Report, toBackoff, toDelays } from "../tasks/options.ts";
import { optional } from "../values/optional.ts";

type SettingName = keyof QueueSettings;

/** A setting by its number in `clear`. */
const BY_NUMBER: ReadonlyMap<QueueSetting, SettingName> = new Map([
  [QueueSetting.MAX_RETRY_COUNT, "maxRetries"],
  [QueueSetting.BACKOFF, "backoff"],
  [QueueSetting.LOST_BACKOFF, "lostDelaysMs"],
]);

/** A setting as an event names it. */
const IN_EVENTS: Readonly<Record<SettingName, string>> = {
  maxRetries: "max_retries",
  backoff: "backoff",
  lostDelaysMs: "lost_backoff",
};

/** Settings in protobuf. */
export function fromQueueSettings(settings: QueueSettings): MessageInitShape<typeof QueueSettingsSchema> {
  return {
    ...optional("maxRetryCount", settings.maxRetries),
    ...optional("backoff", settings.backoff && fromBackoff(settings.backoff)),
    ...optional("lostBackoff", settings.lostDelaysMs && fromDelays(settings.lostDelaysMs)),
  };
}

/** What a request changes, without its reason. @throws Refusal `INVALID_REQUEST` with every fault at once. */
export function toQueueChange({ settings, clear }: ConfigureQueueRequest): Omit<QueueChange, "reason"> {
  const violations: Violation[] = [];
  const report: Report = (field, description) => void violations.push({ field, description });
  const set = toSettings(settings, report);
  const cleared = [
    ...new Set(clear.flatMap((setting, index) => toName(setting, `clear[${index}]`, report) ?? [])),
  ];
  for (const name of cleared) {
    if (name in set)
      report("clear", `names ${IN_EVENTS[name]}, for which settings has a value; give one of them`);
  }
  if (Object.keys(set).length === 0 && clear.length === 0)
    report("settings", "changes nothing; give a setting, or name one in clear");
  const [first, ...others] = violations;
  if (first) throw invalidRequest(first, ...others);
  return { set, clear: cleared, attributes: inEvent(set, cleared) };
}

function toSettings(message: ConfigureQueueRequest["settings"], report: Report): QueueSettings {
  if (!message) return {};
  const { maxRetryCount, lostBackoff } = message;
  if (maxRetryCount !== undefined) checkRetries(maxRetryCount, "settings.max_retry_count", report);
  return {
    ...optional("maxRetries", maxRetryCount),
    ...optional("backoff", toBackoff(message.backoff, "settings", report)),
    ...optional("lostDelaysMs", lostBackoff && toDelays(lostBackoff, "settings.lost_backoff", report)),
  };
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
    ...(names.length === 0 ? {} : { cleared: names.join(", ") }),
  };
}

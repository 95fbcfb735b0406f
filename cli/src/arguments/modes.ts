/** Parses the modes of a queue's mechanisms. */
import { MechanismMode, QueueSetting } from "@muster/protocol";

/** Mechanisms for which a queue may have a mode, with the field and the setting of each. */
export const MODE_SETTINGS = [
  { mechanism: "unaccepted", field: "unacceptedMode", setting: QueueSetting.UNACCEPTED_MODE },
  { mechanism: "forgotten", field: "forgottenMode", setting: QueueSetting.FORGOTTEN_MODE },
  { mechanism: "attempt_limits", field: "attemptLimitsMode", setting: QueueSetting.ATTEMPT_LIMITS_MODE },
  { mechanism: "poison", field: "poisonMode", setting: QueueSetting.POISON_MODE },
] as const;

const MODES: ReadonlyMap<string, MechanismMode> = new Map([
  ["off", MechanismMode.OFF],
  ["observe", MechanismMode.OBSERVE],
  ["act", MechanismMode.ACT],
]);

/** The value that takes a mode back. */
const DEFAULT = "default";

/** What `--mode` changes of a queue. */
export interface ModeChange {
  readonly set: Readonly<Partial<Record<(typeof MODE_SETTINGS)[number]["field"], MechanismMode>>>;
  readonly clear: readonly QueueSetting[];
}

/** The mode as `--mode` takes it. */
export function modeName(mode: MechanismMode): string {
  return [...MODES].find(([, number]) => number === mode)?.[0] ?? String(mode);
}

/** Modes of the form `poison=observe,forgotten=default`. @throws RangeError */
export function parseModes(text: string): ModeChange {
  const set: Partial<Record<(typeof MODE_SETTINGS)[number]["field"], MechanismMode>> = {};
  const clear: QueueSetting[] = [];
  for (const part of text.split(",").map((piece) => piece.trim())) {
    const at = part.indexOf("=");
    const [name, mode] = [part.slice(0, at), part.slice(at + 1)];
    const found = MODE_SETTINGS.find(({ mechanism }) => mechanism === name);
    const number = MODES.get(mode);
    if (!found || (number === undefined && mode !== DEFAULT))
      throw new RangeError(
        `"${part}" is not MECHANISM=MODE; the mechanisms of a queue are ${MODE_SETTINGS.map(({ mechanism }) => mechanism).join(", ")}; modes are ${[...MODES.keys(), DEFAULT].join(", ")}`,
      );
    if (number === undefined) clear.push(found.setting);
    else set[found.field] = number;
  }
  return { set, clear };
}

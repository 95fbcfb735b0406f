/** The settings that are in force, for the log and the CLI. */
import { SETTING_NAMES, SETTINGS, type Setting, type SettingName } from "./settings.ts";

/** A setting as the program runs with it. */
export interface EffectiveSetting {
  /** Flag without its dashes. */
  readonly name: string;
  /** Environment variable. */
  readonly variable: string;
  /** As it may be shown: secrets are not. */
  readonly value: string;
  readonly source: "flag" | "environment" | "default";
}

/** Values of which only the presence is shown. */
const SECRETS: ReadonlySet<SettingName> = new Set(["token"]);

/** Parameters of a database URL that hold no secret. */
const SHOWN_PARAMETERS: ReadonlySet<string> = new Set([
  "sslmode",
  "application_name",
  "host",
  "port",
  "dbname",
  "user",
]);

/**
 * Every setting with where its value comes from, in the order of `--help`.
 *
 * @param flags What was given on the command line, by flag.
 * @param shown Values that the program worked out, in place of an empty default.
 */
export function effectiveSettings(
  flags: ReadonlyMap<string, string>,
  env: Readonly<Record<string, string | undefined>>,
  shown: Readonly<Partial<Record<SettingName, string>>>,
): EffectiveSetting[] {
  return SETTING_NAMES.map((name) => {
    const setting: Setting = SETTINGS[name];
    const flag = flags.get(setting.flag);
    const variable = env[setting.env] || undefined;
    const given = flag ?? variable;
    const text = given === undefined ? (shown[name] ?? setting.fallback ?? "") : given;
    return {
      name: setting.flag,
      variable: setting.env,
      value: safe(name, text),
      source: flag === undefined ? (variable === undefined ? "default" : "environment") : "flag",
    };
  });
}

function safe(name: SettingName, text: string): string {
  if (SECRETS.has(name)) return text === "" ? "" : "(set, not shown)";
  return name === "databaseUrl" ? withoutSecrets(text) : text;
}

/** A database URL without its password; nothing of one that cannot be taken apart for certain. */
export function withoutSecrets(url: string): string {
  if (!/^postgres(ql)?:\/\//.test(url)) return url;
  if (!URL.canParse(url)) return "(set, not shown)";
  const parsed = new URL(url);
  if (parsed.password !== "") parsed.password = "***";
  for (const name of [...parsed.searchParams.keys()]) {
    if (!SHOWN_PARAMETERS.has(name)) parsed.searchParams.set(name, "***");
  }
  return parsed.href;
}

/** Shows the settings that a scheduler or a worker runs with. */
import type { EffectiveSetting } from "@muster/protocol";
import type { Colors, Screen } from "../../io/io.ts";
import { writeTable } from "../table.ts";
import { oneLine } from "../text.ts";

const COLUMNS = [{ title: "SETTING" }, { title: "VALUE", shrink: "first" }, { title: "SOURCE" }] as const;

/** What is written besides the settings. */
interface SettingsText {
  /** Line above the table. */
  readonly heading: string;
  /** Command that shows the defaults, too. */
  readonly allBy: string;
  /** Shows those that have their defaults, too. */
  readonly all: boolean;
}

/** Writes the settings that are set, or all; one line each when the output is no terminal. */
export function writeSettings(
  screen: Screen,
  given: readonly EffectiveSetting[],
  { heading, allBy, all }: SettingsText,
): void {
  const settings = given.filter(({ source }) => all || source !== "default");
  if (!screen.isTTY) {
    for (const { name, value, source } of settings)
      screen.write(`${["setting", name, value, source].map(oneLine).join("\t")}\n`);
    return;
  }
  if (settings.length > 0) {
    screen.write(`\n${heading}\n`);
    writeTable(
      screen,
      COLUMNS,
      settings.map((setting) => row(setting, screen.colors)),
    );
  }
  const others = given.length - settings.length;
  if (others === 0) return;
  const text =
    settings.length === 0
      ? `every setting has its default: ${allBy}`
      : `${others} more have their defaults: ${allBy}`;
  screen.write(`${settings.length === 0 ? "\n" : ""}${screen.colors.dim(text)}\n`);
}

function row({ name, value, source, variable }: EffectiveSetting, colors: Colors) {
  const paint = source === "default" ? colors.dim : String;
  const where = source === "environment" ? variable : source === "flag" ? `--${name}` : source;
  return [
    { text: name, paint },
    { text: value || "(not set)", paint },
    { text: where, paint },
  ];
}

/** The settings as `--help` has them. */
import { SETTING_NAMES, SETTINGS, type Setting } from "./settings.ts";

/** One line a setting, for `--help`. */
export function describeSettings(columns = Number.POSITIVE_INFINITY): string {
  const lines = SETTING_NAMES.map((name) => {
    const { flag, env, fallback, value, help }: Setting = SETTINGS[name];
    const left = `--${flag}${value ? ` ${value}` : ""}`;
    const shown = fallback === undefined || fallback === "false" ? "" : ` (default ${fallback})`;
    const indent = " ".repeat(HELP_COLUMN);
    const lines = wrapped(`${help}${shown} [${env}]`, columns - HELP_COLUMN);
    // The help of a long flag begins on the next line.
    const head = left.length <= HELP_COLUMN - 3 ? `  ${left}`.padEnd(HELP_COLUMN) : `  ${left}\n${indent}`;
    return `${head}${lines.join(`\n${indent}`)}`;
  });
  return lines.join("\n");
}

/** Column at which the help of a flag begins. */
const HELP_COLUMN = 33;

/** Wraps `text` at `width` characters; a longer word gets a line of its own. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}

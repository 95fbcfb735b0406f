/** Shows a diagnosis as text. */
import type { Check, Diagnosis, EffectiveSetting } from "@muster/protocol";
import { CheckStatus } from "@muster/protocol";
import { isWrong } from "../doctor/checks.ts";
import type { Colors, Io, Screen } from "../io/io.ts";
import { enumName } from "./cells.ts";
import { writeTable } from "./table.ts";
import { oneLine, wrap } from "./text.ts";

const SETTING_COLUMNS = [
  { title: "SETTING" },
  { title: "VALUE", shrink: "first" },
  { title: "SOURCE" },
] as const;

/** `FAILED` and the longest name, with gaps. */
const STATUS_WIDTH = 8;
const NAME_WIDTH = 23;
const WIDEST = 110;

/** Shows the checks, the settings, and a summary of the faults. */
export function writeDiagnosis(diagnosis: Diagnosis, { stdout }: Io, allSettings: boolean): void {
  const { checks } = diagnosis;
  const settings = diagnosis.settings.filter(({ source }) => allSettings || source !== "default");
  const others = diagnosis.settings.length - settings.length;
  if (!stdout.isTTY) {
    for (const { status, name, summary, remedy } of checks)
      stdout.write(`${[enumName(CheckStatus, status), name, summary, remedy].map(oneLine).join("\t")}\n`);
    for (const { name, value, source } of settings)
      stdout.write(`${["setting", name, value, source].map(oneLine).join("\t")}\n`);
    return;
  }
  for (const check of checks) writeCheck(check, stdout);
  if (settings.length > 0) {
    stdout.write(`\n${stdout.colors.bold("Configuration")} of ${oneLine(diagnosis.schedulerId)}\n`);
    writeTable(
      stdout,
      SETTING_COLUMNS,
      settings.map((setting) => settingRow(setting, stdout.colors)),
    );
  }
  if (others > 0) {
    const text = `${settings.length === 0 ? "every setting has its default" : `${others} more have their defaults`}: muster doctor --settings`;
    stdout.write(`${settings.length === 0 ? "\n" : ""}${stdout.colors.dim(text)}\n`);
  }
  const wrong = checks.filter(isWrong);
  const { green, red } = stdout.colors;
  const verdict =
    wrong.length === 0
      ? green(`nothing is wrong: ${checks.length} checks`)
      : red(
          `${wrong.length} of ${checks.length} checks found something wrong: ${wrong.map(({ name }) => name).join(", ")}`,
        );
  stdout.write(`\n${verdict}\n`);
}

function writeCheck({ status, name, summary, evidence, remedy }: Check, screen: Screen): void {
  const { dim, green } = screen.colors;
  const indent = " ".repeat(STATUS_WIDTH + NAME_WIDTH);
  const width = Math.min(screen.columns, WIDEST);
  const head = `${paint(status, screen.colors)(word(status).padEnd(STATUS_WIDTH))}${oneLine(name).padEnd(NAME_WIDTH)}`;
  const text = wrap(summary, width, indent).slice(indent.length);
  screen.write(`${head}${isWrong({ status }) ? text : dim(text)}\n`);
  if (!isWrong({ status })) return;
  for (const { key, value } of evidence) screen.write(`${dim(wrap(`${key}: ${value}`, width, indent))}\n`);
  if (remedy !== "") screen.write(`${green(wrap(`-> ${remedy}`, width, indent))}\n`);
}

function settingRow({ name, value, source, variable }: EffectiveSetting, colors: Colors) {
  const set = source !== "default";
  const where = source === "environment" ? variable : source === "flag" ? `--${name}` : "default";
  const paint = set ? String : colors.dim;
  return [
    { text: name, paint },
    { text: value || "(not set)", paint },
    { text: where, paint },
  ];
}

function word(status: CheckStatus): string {
  switch (status) {
    case CheckStatus.FAILED:
      return "FAILED";
    case CheckStatus.WARNING:
      return "WARN";
    case CheckStatus.SKIPPED:
      return "-";
    default:
      return enumName(CheckStatus, status);
  }
}

function paint(status: CheckStatus, { red, yellow, green, cyan, dim }: Colors): (text: string) => string {
  switch (status) {
    case CheckStatus.FAILED:
      return red;
    case CheckStatus.WARNING:
      return yellow;
    case CheckStatus.OK:
      return green;
    case CheckStatus.NOTE:
      return cyan;
    default:
      return dim;
  }
}

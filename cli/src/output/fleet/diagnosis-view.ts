/** Shows a diagnosis as text. */
import type { Check, Diagnosis } from "@muster/protocol";
import { CheckStatus } from "@muster/protocol";
import { isWrong } from "../../doctor/checks.ts";
import type { Colors, Io, Screen } from "../../io/io.ts";
import { enumName } from "../cells.ts";
import { oneLine, wrap } from "../text.ts";
import { writeSettings } from "./settings-view.ts";

/** `FAILED` and the longest name, with gaps. */
const STATUS_WIDTH = 8;
const NAME_WIDTH = 23;
const WIDEST = 110;

/** Shows the checks, the settings, and a summary of the faults. */
export function writeDiagnosis(diagnosis: Diagnosis, { stdout }: Io, allSettings: boolean): void {
  const { checks } = diagnosis;
  const settings = {
    heading: `${stdout.colors.bold("Configuration")} of ${oneLine(diagnosis.schedulerId)}`,
    allBy: "muster doctor --settings",
    all: allSettings,
  };
  if (!stdout.isTTY) {
    for (const { status, name, summary, remedy } of checks)
      stdout.write(`${[enumName(CheckStatus, status), name, summary, remedy].map(oneLine).join("\t")}\n`);
    writeSettings(stdout, diagnosis.settings, settings);
    return;
  }
  for (const check of checks) writeCheck(check, stdout);
  writeSettings(stdout, diagnosis.settings, settings);
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

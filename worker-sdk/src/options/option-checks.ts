/** Checks of option values. */
import { NAME } from "@muster/common/text/name-forms";
import type { Environment } from "./connection-options.ts";
import { OptionsError } from "./options-error.ts";

/** Reads a number from the option, else the variable, else the default; a fault is added to `faults`. */
export function numberSetting(
  source: {
    readonly option: readonly [name: string, value: number | undefined];
    readonly variable?: string | undefined;
    readonly default: number;
  },
  allowed: { readonly min: number; readonly max: number; readonly integer?: boolean },
  env: Environment,
  faults: string[],
): number {
  const [name, option] = source.option;
  const text = source.variable === undefined ? undefined : env[source.variable]?.trim();
  const fromVariable = option === undefined && text !== undefined && text !== "";
  const value = option ?? (fromVariable ? Number(text) : source.default);
  const { min, max, integer } = allowed;
  if (typeof value === "number" && value >= min && value <= max && (!integer || Number.isInteger(value)))
    return value;
  // A number in quotes is shown as the text that it is.
  const shown = fromVariable
    ? `"${text}"`
    : typeof value === "string"
      ? JSON.stringify(value)
      : String(value);
  const where = fromVariable ? source.variable : `option ${name}`;
  faults.push(`${where}: ${shown} is not ${integer ? "an integer" : "a number"} from ${min} to ${max}`);
  return source.default;
}

/** Values of a variable that is on or off. */
const SWITCH: ReadonlyMap<string, boolean> = new Map([
  ["1", true],
  ["true", true],
  ["0", false],
  ["false", false],
]);

/** Reads what is on or off from the option, else the variable, else the default; a fault is added to `faults`. */
export function switchSetting(
  source: {
    readonly option: readonly [name: string, value: boolean | undefined];
    readonly variable: string;
    readonly default: boolean;
  },
  env: Environment,
  faults: string[],
): boolean {
  const [name, option] = source.option;
  if (option !== undefined) {
    if (typeof option !== "boolean") faults.push(`option ${name}: ${String(option)} is not a boolean`);
    return option;
  }
  const text = env[source.variable]?.trim() ?? "";
  if (text === "") return source.default;
  const value = SWITCH.get(text.toLowerCase());
  if (value === undefined)
    faults.push(`${source.variable}: "${text.slice(0, 64)}" is not one of ${[...SWITCH.keys()].join(", ")}`);
  return value ?? source.default;
}

/** Checks a number of seconds that a call was given; unset is allowed. @throws OptionsError when it is not in range. */
export function checkSeconds(call: string, option: string, value: number | undefined, maxS: number): void {
  if (value === undefined || (typeof value === "number" && value >= 0 && value <= maxS)) return;
  throw new OptionsError(call, [
    `option ${option}: ${value} is not a number from 0 to ${maxS}; leave it out for the default`,
  ]);
}

/** Checks names of task types or queues. */
export function checkNames(option: string, names: readonly string[], faults: string[]): void {
  for (const name of names) {
    if (!NAME.test(name)) faults.push(`option ${option}: "${name}" must match ${NAME.source}`);
  }
}

/** Checks labels: at most 64, names and values are text. */
export function checkLabels(labels: Readonly<Record<string, string>>, faults: string[]): void {
  const entries = Object.entries(labels);
  if (entries.length > 64) faults.push(`option labels: ${entries.length} labels; at most 64`);
  for (const [key, value] of entries) {
    if (key === "" || typeof value !== "string") {
      faults.push(
        `option labels: "${key}" is ${JSON.stringify(value)}; names and values must be text, names not empty`,
      );
    }
  }
}

/** Largest amount of a capacity. */
const MAX_AMOUNT = 1_000_000_000_000;

/** Checks capacities: at most 16 names of the form of task types, each with a whole amount. */
export function checkCapacities(capacities: Readonly<Record<string, number>>, faults: string[]): void {
  const entries = Object.entries(capacities);
  if (entries.length > 16) faults.push(`option capacities: ${entries.length} entries; at most 16`);
  checkNames("capacities", Object.keys(capacities), faults);
  for (const [name, amount] of entries) {
    if (name === "slots") faults.push("option capacities.slots: give the option concurrency instead");
    if (!Number.isInteger(amount) || amount < 0 || amount > MAX_AMOUNT)
      faults.push(
        `option capacities.${name}: ${JSON.stringify(amount)} is not an integer from 0 to ${MAX_AMOUNT}`,
      );
  }
}

/** Reads the address of a listener. */
export function listenAddress(
  source: string,
  text: string,
  faults: string[],
): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/@]+)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match && port <= 65_535) return { host: match[1] ?? match[2] ?? "", port };
  faults.push(`${source}: "${text}" is not host:port; give for example 127.0.0.1:9465 or 0.0.0.0:9465`);
  return undefined;
}

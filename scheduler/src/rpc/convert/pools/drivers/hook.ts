/** Settings of the driver `hook`. */
import { durationFromMs } from "../../values/time.ts";
import { checkSize, length, MAX_NAMES } from "../checks.ts";
import type { DriverConverter } from "./driver.ts";

const MAX_ARGUMENTS = 100;
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;

/** Both directions. A worker whose hook knows its command needs none. */
export const hookConverter: DriverConverter<"hook"> = {
  to({ command, settings, timeout, listInterval }, _template, report) {
    const at = "launch_template.hook";
    const wait = (given: typeof timeout, fallbackMs: number, field: string) =>
      length(given, SECOND_MS, 10 * MINUTE_MS, fallbackMs, `${at}.${field}`, report);
    const timeoutMs = wait(timeout, MINUTE_MS, "timeout");
    const listIntervalMs = wait(listInterval, 10 * SECOND_MS, "list_interval");
    if (command.length === 0 || command[0] === "")
      report(`${at}.command`, "is empty: give the program of the hook and its arguments");
    if (command.length > MAX_ARGUMENTS)
      report(`${at}.command`, `has ${command.length} entries; at most ${MAX_ARGUMENTS} are allowed`);
    checkSize(command, `${at}.command`, report);
    const entries = Object.entries(settings);
    if (entries.length > MAX_NAMES)
      report(`${at}.settings`, `has ${entries.length} entries; at most ${MAX_NAMES} are allowed`);
    checkSize(entries.flat(), `${at}.settings`, report);
    return {
      driver: "hook",
      hook: command,
      settings,
      timeoutMs,
      listIntervalMs,
    };
  },
  from: ({ hook, settings, timeoutMs, listIntervalMs }) => ({
    case: "hook",
    value: {
      command: [...hook],
      settings: { ...settings },
      timeout: durationFromMs(timeoutMs),
      listInterval: durationFromMs(listIntervalMs),
    },
  }),
};

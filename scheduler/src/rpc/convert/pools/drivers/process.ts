/** Settings of the driver `process`. */
import { isStorable } from "../../values/text.ts";
import type { DriverConverter } from "./driver.ts";

const MAX_PATH = 4_096;

/** Both directions. */
export const processConverter: DriverConverter<"process"> = {
  to({ directory }, { command }, report) {
    if (command.length === 0 || command[0] === "")
      report("launch_template.command", "is empty: give the program and its arguments");
    if (directory.length > MAX_PATH || !isStorable(directory))
      report(
        "launch_template.process.directory",
        `has ${directory.length} characters; at most ${MAX_PATH} without NUL are allowed`,
      );
    return { driver: "process", directory };
  },
  from: ({ directory }) => ({ case: "process", value: { directory } }),
};

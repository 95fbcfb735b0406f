/** The drivers of launchers that a pool's template can name. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { LaunchTemplate, LaunchTemplateSchema } from "@muster/protocol";
import type { DriverSettings } from "../../../../domain/pools/pool.ts";
import { dockerConverter } from "./docker.ts";
import type { DriverConverter, DriverMessages, DriverName, Report, SettingsByDriver } from "./driver.ts";
import { hookConverter } from "./hook.ts";
import { kubernetesConverter } from "./kubernetes.ts";
import { processConverter } from "./process.ts";

/** By the name of their field in LaunchTemplate. */
const CONVERTERS: { readonly [Name in DriverName]: DriverConverter<Name> } = {
  process: processConverter,
  docker: dockerConverter,
  kubernetes: kubernetesConverter,
  hook: hookConverter,
};

/** The settings of a template's driver, checked; undefined, and reported, when it names none. */
export function toSettings(template: LaunchTemplate, report: Report): DriverSettings | undefined {
  const { driver } = template;
  if (driver.case === undefined) {
    const names = Object.keys(CONVERTERS).map((name) => `\`${name}\``);
    report("launch_template", `names no driver: set ${names.join(" or ")}`);
    return undefined;
  }
  return to(driver.case, driver.value, template, report);
}

/** With the name as a type parameter: the compiler sees that field and converter are of the same driver. */
function to<Name extends DriverName>(
  name: Name,
  value: DriverMessages[Name],
  template: LaunchTemplate,
  report: Report,
): SettingsByDriver[Name] {
  return CONVERTERS[name].to(value, template, report);
}

function from<Name extends DriverName>(name: Name, settings: SettingsByDriver[Name]) {
  return CONVERTERS[name].from(settings);
}

/** The same as a message; undefined for a driver that only a newer scheduler knows. */
export function fromSettings(
  settings: DriverSettings,
): MessageInitShape<typeof LaunchTemplateSchema>["driver"] {
  return Object.hasOwn(CONVERTERS, settings.driver) ? from(settings.driver, settings) : undefined;
}

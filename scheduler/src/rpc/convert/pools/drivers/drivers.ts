/** The drivers of launchers that a pool's template can name. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { LaunchTemplate, LaunchTemplateSchema } from "@muster/protocol";
import type { DriverSettings } from "../../../../domain/pools/pool.ts";
import { dockerConverter } from "./docker.ts";
import type { DriverConverter, DriverName, Report } from "./driver.ts";
import { kubernetesConverter } from "./kubernetes.ts";
import { processConverter } from "./process.ts";

/** By the name of their field in LaunchTemplate. */
const CONVERTERS: { readonly [Name in DriverName]: DriverConverter<Name> } = {
  process: processConverter,
  docker: dockerConverter,
  kubernetes: kubernetesConverter,
};

/** The settings of a template's driver, checked; undefined, and reported, when it names none. */
export function toSettings(template: LaunchTemplate, report: Report): DriverSettings | undefined {
  const { driver } = template;
  if (driver.case === undefined) {
    const names = Object.keys(CONVERTERS).map((name) => `\`${name}\``);
    report("launch_template", `names no driver: set ${names.join(" or ")}`);
    return undefined;
  }
  return converterOf(driver.case).to(driver.value, template, report);
}

/** The same as a message; undefined for a driver that only a newer scheduler knows. */
export function fromSettings(
  settings: DriverSettings,
): MessageInitShape<typeof LaunchTemplateSchema>["driver"] {
  return Object.hasOwn(CONVERTERS, settings.driver) ? converterOf(settings.driver).from(settings) : undefined;
}

/** The compiler does not see that a driver's name and its settings belong together. */
function converterOf(name: DriverName): DriverConverter<DriverName> {
  return CONVERTERS[name] as unknown as DriverConverter<DriverName>;
}

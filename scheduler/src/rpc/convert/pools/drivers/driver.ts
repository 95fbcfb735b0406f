/** What the settings of a driver need to be checked and shown. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { LaunchTemplate, LaunchTemplateSchema } from "@muster/protocol";
import type { DriverSettings } from "../../../../domain/pools/pool.ts";

/** Takes a fault: the field below `spec`, and what is wrong with it. */
export type Report = (field: string, description: string) => void;

/** A driver as messages name it, with its settings. */
export type DriverMessage = LaunchTemplate["driver"];

/** Name of a driver: that of its field in LaunchTemplate. */
export type DriverName = NonNullable<DriverMessage["case"]>;

/** The message of each driver. */
export type DriverMessages = { [Name in DriverName]: Extract<DriverMessage, { case: Name }>["value"] };

/** The settings of each driver. */
export type SettingsByDriver = { [Name in DriverName]: Extract<DriverSettings, { driver: Name }> };

/** Both directions of the settings of one driver. */
export interface DriverConverter<Name extends DriverName> {
  /** The settings, checked; faults are reported. The template says what else is launched with them. */
  readonly to: (
    value: DriverMessages[Name],
    template: LaunchTemplate,
    report: Report,
  ) => SettingsByDriver[Name];
  readonly from: (
    settings: SettingsByDriver[Name],
  ) => NonNullable<MessageInitShape<typeof LaunchTemplateSchema>["driver"]>;
}

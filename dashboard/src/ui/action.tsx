/** A button that changes something, after a dialog that names what and asks for a reason. */
import type { ReactNode } from "react";
import { FieldsAction } from "./forms/fields-action.tsx";

export function Action({
  call,
  ...rest
}: {
  label: string;
  /** What is done, with the name of its object. */
  title: string;
  /** One sentence. */
  consequence: string;
  danger?: boolean;
  asksReason?: boolean;
  call: (reason: string) => Promise<unknown>;
}): ReactNode {
  return <FieldsAction {...rest} fields={[]} call={(_, reason) => call(reason)} />;
}

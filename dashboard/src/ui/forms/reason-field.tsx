/** The field for who asks for a change and why; its name in the form is `reason`. */
import { type ReactNode, useId } from "react";

/** Longest reason that the scheduler takes, characters. */
const MAX_REASON = 1_000;

export function ReasonField(): ReactNode {
  const id = useId();
  return (
    <label className="field" htmlFor={id}>
      Who asks, and why (shown to others)
      <input id={id} className="input" name="reason" maxLength={MAX_REASON} autoComplete="off" />
    </label>
  );
}

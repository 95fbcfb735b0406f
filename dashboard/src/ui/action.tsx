/**
 * A button that changes something, after a dialog that names what and asks for a reason. Two of them in one place need keys:
 * otherwise an open dialog would become that of the other one when the object changes.
 */
import { type FormEvent, type ReactNode, useId, useState } from "react";
import { useAction, useMayChange } from "../data/actions.ts";
import { messageOf } from "../data/transport.ts";
import { Dialog } from "./dialog.tsx";
import { Icon } from "./icons.tsx";

/** Longest reason that the scheduler takes, characters. */
const MAX_REASON = 1_000;

export function Action({
  label,
  title,
  consequence,
  danger = false,
  asksReason = true,
  call,
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
  const [open, setOpen] = useState(false);
  const may = useMayChange();
  if (!may) return null;
  return (
    <>
      <button type="button" className={danger ? "button danger" : "button"} onClick={() => setOpen(true)}>
        {label}
      </button>
      {open ? (
        <Confirm
          {...{ label, title, consequence, danger, asksReason, call }}
          onClose={() => setOpen(false)}
        />
      ) : null}
    </>
  );
}

function Confirm({
  label,
  title,
  consequence,
  danger,
  asksReason,
  call,
  onClose,
}: {
  label: string;
  title: string;
  consequence: string;
  danger: boolean;
  asksReason: boolean;
  call: (reason: string) => Promise<unknown>;
  onClose: () => void;
}): ReactNode {
  const action = useAction(call);
  const reason = useId();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget).get("reason");
    action.mutate(typeof given === "string" ? given : "", { onSuccess: onClose });
  };
  return (
    <Dialog label={title} onClose={onClose}>
      <form onSubmit={submit}>
        <h2>{title}</h2>
        <p className="muted">{consequence}</p>
        {asksReason ? (
          <label className="field" htmlFor={reason}>
            Who asks, and why (shown to others)
            <input
              id={reason}
              className="input"
              name="reason"
              maxLength={MAX_REASON}
              autoComplete="off"
              autoFocus
            />
          </label>
        ) : null}
        {action.error ? (
          <p className="row" role="alert">
            <span className="mark bad">
              <Icon name="bad" />
            </span>
            {messageOf(action.error)}
          </p>
        ) : null}
        <menu>
          <button type="button" className="button" onClick={onClose}>
            Close
          </button>
          <button
            type="submit"
            className={danger ? "button danger" : "button primary"}
            disabled={action.isPending}
          >
            {label}
          </button>
        </menu>
      </form>
    </Dialog>
  );
}

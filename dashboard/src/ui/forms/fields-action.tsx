/**
 * A button that changes something, after a dialog that names what and asks for numbers, texts and a reason. Two of them in one
 * place need keys: otherwise an open dialog would become that of the other one when the object changes.
 */
import { type FormEvent, type ReactNode, useId, useState } from "react";
import { useAction, useMayChange } from "../../data/actions.ts";
import { messageOf } from "../../data/transport.ts";
import { Dialog } from "../dialog.tsx";
import { Problem } from "./problem.tsx";
import { ReasonField } from "./reason-field.tsx";

/** A field of the dialog. */
export interface AskedField {
  readonly name: string;
  readonly label: string;
  /** What it has at first. */
  readonly value: string;
  /** A whole number between two bounds; a text without. */
  readonly bounds?: readonly [least: number, most: number];
  /** It may be left empty. */
  readonly optional?: true;
}

interface Props {
  readonly label: string;
  /** What is done, with the name of its object. */
  readonly title: string;
  /** One sentence. */
  readonly consequence: string;
  readonly fields: readonly AskedField[];
  readonly danger?: boolean;
  readonly asksReason?: boolean;
  /** @param values By name of the field. */
  readonly call: (values: Readonly<Record<string, string>>, reason: string) => Promise<unknown>;
}

export function FieldsAction(props: Props): ReactNode {
  const [open, setOpen] = useState(false);
  const may = useMayChange();
  if (!may) return null;
  return (
    <>
      <button
        type="button"
        className={props.danger ? "button danger" : "button"}
        onClick={() => setOpen(true)}
      >
        {props.label}
      </button>
      {open ? <FieldsDialog {...props} onClose={() => setOpen(false)} /> : null}
    </>
  );
}

function FieldsDialog({
  label,
  title,
  consequence,
  fields,
  danger = false,
  asksReason = true,
  call,
  onClose,
}: Props & { onClose: () => void }): ReactNode {
  const id = useId();
  const action = useAction(({ values, reason }: { values: Record<string, string>; reason: string }) =>
    call(values, reason),
  );
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const textOf = (name: string) => {
      const value = form.get(name);
      return typeof value === "string" ? value.trim() : "";
    };
    const values = Object.fromEntries(fields.map(({ name }) => [name, textOf(name)]));
    action.mutate({ values, reason: textOf("reason") }, { onSuccess: onClose });
  };
  return (
    <Dialog label={title} onClose={onClose}>
      <form onSubmit={submit}>
        <h2>{title}</h2>
        <p className="muted">{consequence}</p>
        {fields.map(({ name, label: text, value, bounds, optional }, n) => (
          <label className="field" key={name} htmlFor={`${id}${name}`}>
            {text}
            <input
              id={`${id}${name}`}
              className="input"
              name={name}
              defaultValue={value}
              autoComplete="off"
              autoFocus={n === 0}
              required={!optional}
              {...(bounds ? { type: "number", step: 1, min: bounds[0], max: bounds[1] } : {})}
            />
          </label>
        ))}
        {asksReason ? <ReasonField /> : null}
        {action.error ? <Problem text={messageOf(action.error)} /> : null}
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

/** Filters of the list; each change is in the address at once. */
import { type FormEvent, type ReactNode, useEffect, useId, useState } from "react";
import { TASK_STATES } from "../../format/task-state.ts";
import { statesOf, type TaskFilters, timeFault, toggleState } from "./filters.ts";

const FIELDS = [
  { name: "type", label: "Type", placeholder: "ocr.page" },
  { name: "queue", label: "Queue", placeholder: "default" },
  { name: "worker", label: "Worker", placeholder: "worker id" },
  { name: "error", label: "Text in the error", placeholder: "no route to host" },
  { name: "tag", label: "Tags", placeholder: "a,b" },
] as const;

const MORE_FIELDS = [
  { name: "code", label: "Code of the last failure", placeholder: "CONNECT_FAILED" },
  { name: "detail", label: "How it ended", placeholder: "RETRIES_EXHAUSTED" },
  { name: "newer", label: "Created after", placeholder: "2h, or 2026-03-29T02:00Z", time: true },
  { name: "older", label: "Created before", placeholder: "30m", time: true },
  { name: "endedAfter", label: "Ended after", placeholder: "2h", time: true },
  { name: "endedBefore", label: "Ended before", placeholder: "30m", time: true },
] as const;

type FieldOf = (typeof FIELDS)[number] | (typeof MORE_FIELDS)[number];

export function FilterBar({
  filters,
  onChange,
}: {
  filters: TaskFilters;
  onChange: (next: TaskFilters) => void;
}): ReactNode {
  const [typed, setTyped] = useState<TaskFilters>(filters);
  // The address may change by itself: back, or a link.
  useEffect(() => setTyped(filters), [filters]);
  const chosen = statesOf(filters);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onChange(typed);
  };
  const field = (of: FieldOf) => (
    <Field
      key={of.name}
      of={of}
      value={typed[of.name] ?? ""}
      onType={(text) => setTyped({ ...typed, [of.name]: text })}
      onLeave={() => onChange(typed)}
    />
  );
  return (
    <form className="filters" onSubmit={submit} role="search" aria-label="Filters">
      <fieldset className="chips">
        <legend className="visually-hidden">States</legend>
        {[...TASK_STATES.keys()].map((name) => (
          <label key={name}>
            <input
              type="checkbox"
              checked={chosen.includes(name)}
              onChange={() => onChange(toggleState(typed, name))}
            />
            {name}
          </label>
        ))}
      </fieldset>
      <div className="filter-fields">
        {FIELDS.map(field)}
        <button type="submit" className="button">
          Filter
        </button>
      </div>
      <details className="more-filters" open={MORE_FIELDS.some(({ name }) => filters[name] !== undefined)}>
        <summary>Times, failure code, how it ended</summary>
        <div className="filter-fields">{MORE_FIELDS.map(field)}</div>
      </details>
    </form>
  );
}

function Field({
  of,
  value,
  onType,
  onLeave,
}: {
  of: FieldOf;
  value: string;
  onType: (text: string) => void;
  onLeave: () => void;
}): ReactNode {
  const fault = "time" in of && value.trim() !== "" ? timeFault(value) : undefined;
  const id = useId();
  return (
    <label className="field">
      {of.label}
      <input
        className="input"
        value={value}
        placeholder={of.placeholder}
        spellCheck={false}
        autoComplete="off"
        aria-invalid={fault !== undefined}
        {...(fault ? { "aria-describedby": id } : {})}
        onChange={(event) => onType(event.target.value)}
        onBlur={onLeave}
      />
      {fault ? (
        <span className="fault" id={id}>
          {fault}
        </span>
      ) : null}
    </label>
  );
}

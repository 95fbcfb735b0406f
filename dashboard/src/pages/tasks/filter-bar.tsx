/** Filters of the list; each change is in the address at once. */
import { type FormEvent, type ReactNode, useEffect, useState } from "react";
import { TASK_STATES } from "../../format/task-state.ts";
import { statesOf, type TaskFilters, toggleState } from "./filters.ts";

const FIELDS = [
  { name: "type", label: "Type", placeholder: "ocr.page" },
  { name: "queue", label: "Queue", placeholder: "default" },
  { name: "worker", label: "Worker", placeholder: "worker id" },
  { name: "detail", label: "Failure code or detail", placeholder: "RETRIES_EXHAUSTED" },
  { name: "tag", label: "Tags", placeholder: "a,b" },
] as const;

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
        {FIELDS.map(({ name, label, placeholder }) => (
          <label className="field" key={name}>
            {label}
            <input
              className="input"
              value={typed[name] ?? ""}
              placeholder={placeholder}
              spellCheck={false}
              autoComplete="off"
              onChange={(event) => setTyped({ ...typed, [name]: event.target.value })}
              onBlur={() => onChange(typed)}
            />
          </label>
        ))}
        <button type="submit" className="button">
          Filter
        </button>
      </div>
    </form>
  );
}

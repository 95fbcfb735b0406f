/** Views that were saved under a name in this browser; a view is also its address, to be sent to others. */
import { type FormEvent, type ReactNode, useState } from "react";
import type { TaskFilters } from "./filters.ts";
import { isSame, LONGEST_NAME, readViews, type View, withView } from "./views.ts";

const KEY = "muster-task-views";

export function SavedViews({
  filters,
  onOpen,
}: {
  filters: TaskFilters;
  onOpen: (filters: TaskFilters) => void;
}): ReactNode {
  const [views, setViews] = useState(load);
  const [naming, setNaming] = useState(false);
  const keep = (next: View[]) => {
    setViews(next);
    store(next);
  };
  const save = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const name = new FormData(event.currentTarget).get("name");
    if (typeof name === "string" && name.trim() !== "") keep(withView(views, { name: name.trim(), filters }));
    setNaming(false);
  };
  const current = views.find((view) => isSame(view.filters, filters));
  const isFiltered = Object.keys(filters).length > 0;
  if (views.length === 0 && !isFiltered) return null;
  return (
    <div className="views" role="group" aria-label="Saved views">
      {views.map((view) => (
        <button
          type="button"
          className="button"
          key={view.name}
          aria-pressed={view === current}
          onClick={() => onOpen(view.filters)}
        >
          {view.name}
        </button>
      ))}
      {current ? (
        <button
          type="button"
          className="button quiet"
          onClick={() => keep(views.filter((view) => view !== current))}
        >
          Forget the view {current.name}
        </button>
      ) : null}
      {isFiltered && !current && !naming ? (
        <button type="button" className="button quiet" onClick={() => setNaming(true)}>
          Save this view
        </button>
      ) : null}
      {naming ? (
        <form onSubmit={save}>
          <input
            className="input"
            name="name"
            aria-label="Name of the view"
            placeholder="Name"
            maxLength={LONGEST_NAME}
            autoComplete="off"
            ref={(input) => input?.focus()}
          />
          <button type="submit" className="button">
            Save
          </button>
        </form>
      ) : null}
    </div>
  );
}

function load(): View[] {
  try {
    return readViews(localStorage.getItem(KEY));
  } catch {
    // A browser may forbid storage: then views last as long as the page.
    return [];
  }
}

function store(views: readonly View[]): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(views));
  } catch {
    // As above.
  }
}

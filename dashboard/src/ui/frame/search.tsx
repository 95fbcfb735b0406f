/** The box of Ctrl-K: finds whatever has a page by its name or a part of it. */
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, type ReactNode, useId, useState } from "react";
import { CALL_TIMEOUT_MS, fleet } from "../../data/transport.ts";
import { type Found, find, type Known, NOTHING_KNOWN } from "../../format/find.ts";
import { Dialog } from "../dialog.tsx";
import { Icon } from "../icons.tsx";

/** Names that are compared with the text. */
const MAX_KNOWN = 1_000;

export function Search({ onClose }: { onClose: () => void }): ReactNode {
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const list = useId();
  const navigate = useNavigate();
  const { data: known } = useQuery({ queryKey: ["search"], queryFn: readKnown, staleTime: 5_000 });
  const found = find(text, known ?? NOTHING_KNOWN);
  const current = found[Math.min(chosen, found.length - 1)];
  const open = ({ to }: Found) => {
    onClose();
    void navigate({ to });
  };
  const onKey = (event: KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step !== 0) {
      event.preventDefault();
      setChosen((found.length + Math.min(chosen, found.length - 1) + step) % Math.max(1, found.length));
    } else if (event.key === "Enter" && current) {
      event.preventDefault();
      open(current);
    }
  };
  return (
    <Dialog label="Find" onClose={onClose}>
      <div className="finder">
        <div className="finder-box">
          <Icon name="search" />
          <input
            role="combobox"
            aria-label="Find a task, worker, queue, pool, schedule, batch, key or page"
            aria-expanded="true"
            aria-controls={list}
            aria-activedescendant={current ? `${list}-${current.to}` : undefined}
            placeholder="t-42, or a part of any name"
            autoComplete="off"
            spellCheck={false}
            autoFocus
            value={text}
            onChange={(event) => {
              setText(event.target.value);
              setChosen(0);
            }}
            onKeyDown={onKey}
          />
        </div>
        <div id={list} role="listbox" aria-label="Found" className="finder-list">
          {found.map((entry) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the box above has the keys
            <div
              key={entry.to}
              id={`${list}-${entry.to}`}
              role="option"
              tabIndex={-1}
              aria-selected={entry === current}
              onClick={() => open(entry)}
            >
              <Icon name={entry.icon} />
              <span className="clip">{entry.label}</span>
              <span className="muted small">{entry.kind}</span>
            </div>
          ))}
        </div>
        {found.length === 0 ? (
          <p className="muted finder-none">
            Nothing has this in its name. Tasks and batches are found by their ids.
          </p>
        ) : null}
      </div>
    </Dialog>
  );
}

async function readKnown({ signal }: { signal: AbortSignal }): Promise<Known> {
  const options = { signal, timeoutMs: CALL_TIMEOUT_MS };
  const size = { pageSize: MAX_KNOWN };
  const [{ workers }, { queues }, { circuits }, { locks }, { keys }, pools, schedules] = await Promise.all([
    fleet.listWorkers(size, options),
    fleet.listQueues(size, options),
    fleet.listCircuits(size, options),
    fleet.listLocks(size, options),
    fleet.listRateLimits(size, options),
    // Loaded when the box is opened first: the page needs them for nothing else.
    import("../../data/pools.ts").then((api) => api.pools.listPools(size, options)),
    import("../../data/schedules.ts").then((api) => api.schedules.listSchedules(size, options)),
  ]);
  return {
    workers: [...new Set(workers.map(({ id }) => id))],
    queues: queues.map(({ name }) => name),
    types: [...new Set(queues.flatMap(({ taskTypes }) => taskTypes.map(({ taskType }) => taskType)))],
    pools: pools.pools.flatMap(({ spec }) => spec?.name ?? []),
    schedules: schedules.schedules.flatMap(({ spec }) => spec?.name ?? []),
    keys: [...new Set([...circuits, ...locks, ...keys].map(({ key }) => key))],
  };
}

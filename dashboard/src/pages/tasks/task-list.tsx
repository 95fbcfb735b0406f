/** Rows of tasks; only those that are seen are in the page, however many are loaded. */
import type { Task } from "@muster/protocol";
import { Link } from "@tanstack/react-router";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useEffect, useLayoutEffect, useRef, useState } from "react";
import { taskLook } from "../../format/task-state.ts";
import { Badge } from "../../ui/badge.tsx";
import { Ago } from "../../ui/time.tsx";

/** Pixels; on a phone a row has two lines. */
const ROW = 38;
const TALL_ROW = 64;
const narrow = matchMedia("(max-width: 800px)");

/** Rows beyond the edge of the screen. */
const AHEAD = 30;

export function TaskList({
  rows,
  loading,
  more,
  onMore,
}: {
  rows: readonly Task[];
  loading: boolean;
  more: boolean;
  onMore: () => void;
}): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  const [offset, setOffset] = useState(0);
  useLayoutEffect(() => setOffset((box.current?.getBoundingClientRect().top ?? 0) + scrollY), []);
  const height = narrow.matches ? TALL_ROW : ROW;
  const virtualizer = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => height,
    overscan: AHEAD,
    scrollMargin: offset,
    getItemKey: (index) => rows[index]?.id ?? index,
  });
  const shown = virtualizer.getVirtualItems();
  const last = shown.at(-1)?.index ?? 0;
  useEffect(() => {
    if (more && !loading && last >= rows.length - AHEAD) onMore();
  }, [more, loading, last, rows.length, onMore]);
  return (
    <div className="panel task-list">
      <div role="table" aria-label="Tasks" aria-rowcount={more ? -1 : rows.length + 1}>
        <div role="rowgroup">
          <div role="row" className="task-row head" aria-rowindex={1}>
            {["Task", "State", "Type", "Queue", "Worker", "Created"].map((title) => (
              <span role="columnheader" key={title}>
                {title}
              </span>
            ))}
          </div>
        </div>
        <div role="rowgroup" ref={box} className="task-rows" style={{ height: virtualizer.getTotalSize() }}>
          {shown.map(({ index, key, start }) => {
            const task = rows[index];
            return task ? (
              <div
                role="row"
                className="task-row"
                key={key}
                aria-rowindex={index + 2}
                style={{ height, transform: `translateY(${start - virtualizer.options.scrollMargin}px)` }}
              >
                <Cells task={task} />
              </div>
            ) : null;
          })}
        </div>
      </div>
      <p className="muted small list-end" role="status">
        {loading
          ? rows.length === 0 && more
            ? "Looking through older tasks…"
            : "Loading…"
          : more
            ? ""
            : `${rows.length.toLocaleString("en")} tasks`}
      </p>
    </div>
  );
}

function Cells({ task }: { task: Task }): ReactNode {
  const { word, tone } = taskLook(task.state);
  const detail = task.detail === word ? "" : task.detail;
  return (
    <>
      <span role="cell">
        <Link to="/tasks/$id" params={{ id: task.id }} className="mono">
          {task.id}
        </Link>
      </span>
      <span role="cell" className="clip">
        <Badge tone={tone}>{word}</Badge> <span className="muted small">{detail}</span>
      </span>
      <span role="cell" className="clip">
        {task.taskType}
      </span>
      <span role="cell" className="clip muted">
        {task.queue}
      </span>
      <span role="cell" className="clip">
        {task.workerId === "" ? (
          <span className="muted">–</span>
        ) : (
          <Link to="/workers/$id" params={{ id: task.workerId }}>
            {task.workerId}
          </Link>
        )}
      </span>
      <span role="cell" className="clip muted">
        <Ago time={task.createTime} />
      </span>
    </>
  );
}

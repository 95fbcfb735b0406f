/** Draws the timeline: a row for each wait and each attempt, to scale. */
import type { ListEventsResponse, Task } from "@muster/protocol";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { span, timestampMs } from "../../format/span.ts";
import { Ago } from "../../ui/time.tsx";
import { type Lane, type Segment, timeline } from "./timeline.ts";

/** Attempts that are drawn: of more the last ones. */
const MAX_LANES = 40;

/** Width of the drawing in its own units. */
const WIDTH = 1_000;
const HEIGHT = 26;

export function TimelineView({ task, answer }: { task: Task; answer: ListEventsResponse }): ReactNode {
  const { from, to, lanes } = timeline(task, answer.events, timestampMs(answer.readTime) ?? 0);
  const shown = lanes.slice(-MAX_LANES);
  const place = (at: number) => (WIDTH * (Math.min(Math.max(at, from), to) - from)) / (to - from);
  return (
    <div className="timeline">
      {lanes.length > MAX_LANES ? (
        <p className="muted small">
          The last {MAX_LANES} of {lanes.length} rows.
        </p>
      ) : null}
      <div className="lanes">
        {shown.map((lane, index) => (
          <LaneRow key={index} lane={lane} place={place} />
        ))}
      </div>
      <div className="lane-scale muted small num">
        <span>
          <Ago time={task.createTime} />
        </span>
        <span>{span(to - from)} in all</span>
      </div>
      <details>
        <summary>{answer.events.length} events</summary>
        <ul className="events">
          {answer.events.map((event, index) => (
            <li key={index}>
              <span className="muted num">{exact(timestampMs(event.time))}</span> <code>{event.name}</code>{" "}
              <span className="muted">
                {[
                  event.attemptId,
                  ...Object.entries(event.attributes).map(([key, value]) => `${key}: ${value}`),
                ]
                  .filter((part) => part !== "")
                  .join("; ")}
              </span>
            </li>
          ))}
        </ul>
      </details>
    </div>
  );
}

function LaneRow({ lane, place }: { lane: Lane; place: (at: number) => number }): ReactNode {
  const { label, outcome, workerId, segments, marks } = lane;
  const words = segments.map(({ name, from, to }) => `${name} ${span(to - from)}`).join(", ");
  return (
    <div className="lane">
      <div className="lane-label">
        <span className={label === "waits" ? "muted" : "mono"}>{label}</span>
        {workerId === "" ? null : (
          <Link to="/workers/$id" params={{ id: workerId }} className="clip small">
            {workerId}
          </Link>
        )}
      </div>
      <svg
        className="lane-drawing"
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={words}
      >
        {segments.map((segment) => (
          <Bar key={`${segment.kind} ${segment.name} ${segment.from}`} segment={segment} place={place} />
        ))}
        {marks.map(({ name, at, bad }) => (
          <line
            key={`${name} ${at}`}
            className={bad ? "lane-mark bad" : "lane-mark"}
            x1={place(at)}
            x2={place(at)}
            y1={0}
            y2={HEIGHT}
          >
            <title>{name}</title>
          </line>
        ))}
      </svg>
      <div className="lane-words small muted">
        {words}
        {outcome === "" ? "" : `; ${outcome}`}
        {marks.filter(({ bad }) => bad).length === 0
          ? ""
          : `; ${[...new Set(marks.map(({ name }) => name))].join(", ")}`}
      </div>
    </div>
  );
}

const TOP = { wait: 9, assigned: 9, run: 9, phase: 3, stuck: 1 } as const;

function Bar({
  segment: { kind, name, from, to },
  place,
}: {
  segment: Segment;
  place: (at: number) => number;
}): ReactNode {
  const x = place(from);
  const top = TOP[kind];
  return (
    <rect
      className={`lane-${kind}`}
      x={x}
      width={Math.max(1.5, place(to) - x)}
      y={top}
      height={HEIGHT - 2 * top}
      rx="2"
    >
      <title>{`${name} ${span(to - from)}`}</title>
    </rect>
  );
}

function exact(ms: number | undefined): string {
  return ms === undefined ? "" : new Date(ms).toISOString().slice(11, 23);
}

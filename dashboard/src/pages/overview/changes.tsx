/** What changed recently: workers that came and went, pauses, limits, circuits, pools. */
import type { Event } from "@muster/protocol";
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { fleet } from "../../data/transport.ts";
import { Answer } from "../../ui/answer.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Sentence } from "../../ui/sentence.tsx";
import { Ago } from "../../ui/time.tsx";
import { changeText, isChange } from "./change-text.ts";

const EVENTS_MS = 5_000;

/** Events that are looked through: those of single tasks are left out. */
const READ = 500;
const SHOWN = 12;

export function Changes(): ReactNode {
  const events = useLive(["changes"], (options) => fleet.listEvents({ pageSize: READ }, options), EVENTS_MS);
  return (
    <Panel title="What changed recently" note={`among the last ${READ} events`} flush>
      <Answer query={events}>
        {(answer) => <Lines events={answer.events.filter(isChange).slice(0, SHOWN)} />}
      </Answer>
    </Panel>
  );
}

function Lines({ events }: { events: readonly Event[] }): ReactNode {
  if (events.length === 0) return <p className="empty muted">Nothing was started, stopped, paused or set.</p>;
  return (
    <ul className="changes">
      {events.map((event) => (
        <li className="change" key={String(event.id)}>
          <span className="muted">
            <Ago time={event.time} />
          </span>
          <span>
            <code>{event.name}</code> <Sentence text={changeText(event)} />
          </span>
        </li>
      ))}
    </ul>
  );
}

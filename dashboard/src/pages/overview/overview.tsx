/** The first page: is it well, and if not, what is wrong. */
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { fleet } from "../../data/transport.ts";
import { Changes } from "./changes.tsx";
import { Figures } from "./figures.tsx";
import { GettingStarted } from "./getting-started.tsx";
import { HistoryPlots } from "./history-plots.tsx";
import { QueuesAtGlance } from "./queues-at-glance.tsx";
import { RecentFailures, RunningTasks } from "./task-lines.tsx";
import { Verdict } from "./verdict.tsx";
import { WorkersAtGlance } from "./workers-at-glance.tsx";

/** From one answer to the next question, milliseconds: every screen shares one read of the database. */
const OVERVIEW_MS = 2_000;

/** Lines of each list. */
const LINES = 6;

export function Overview(): ReactNode {
  const overview = useLive(["overview"], (options) => fleet.getOverview({ limit: 20 }, options), OVERVIEW_MS);
  const facts = overview.data?.overview;
  const nothing = facts !== undefined && facts.queueCount === 0n && facts.workerStates.length === 0;
  return (
    <div className="page">
      <div className="title">
        <h1>Overview</h1>
        {facts ? (
          <p className="muted small">
            {facts.schedulerCount === 1 ? "1 scheduler" : `${facts.schedulerCount} schedulers`}; answered by{" "}
            <span className="mono">{facts.schedulerId}</span>
          </p>
        ) : null}
      </div>
      <Verdict />
      {facts ? <Figures overview={facts} /> : null}
      {nothing ? <GettingStarted /> : null}
      <HistoryPlots />
      {facts ? (
        <div className="halves">
          <WorkersAtGlance overview={facts} lines={LINES} />
          <QueuesAtGlance overview={facts} lines={LINES} />
          <RunningTasks overview={facts} lines={LINES} />
          <RecentFailures overview={facts} lines={LINES} />
        </div>
      ) : null}
      <Changes />
    </div>
  );
}

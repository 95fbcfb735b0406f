/** Throughput, failures, waits and backlog over the last hours. */
import { type ReactNode, useState } from "react";
import { useLive } from "../../data/live.ts";
import { fleet } from "../../data/transport.ts";
import { compact, span, timestampMs } from "../../format/span.ts";
import { Answer } from "../../ui/answer.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Plot } from "../../ui/plot.tsx";
import { historyLines } from "./history.ts";

const HOUR_S = 3_600;

const WINDOWS = [
  { label: "1 h", seconds: HOUR_S },
  { label: "6 h", seconds: 6 * HOUR_S },
  { label: "24 h", seconds: 24 * HOUR_S },
  { label: "7 days", seconds: 7 * 24 * HOUR_S },
];

/** The scheduler writes a row a minute. */
const HISTORY_MS = 20_000;

export function HistoryPlots(): ReactNode {
  const [seconds, setSeconds] = useState(6 * HOUR_S);
  const history = useLive(
    ["history", seconds],
    (options) => fleet.getHistory({ window: { seconds: BigInt(seconds) } }, options),
    HISTORY_MS,
  );
  return (
    <section className="stack" aria-label="The last hours">
      <div className="plots-head">
        <h2>The last hours</h2>
        <fieldset className="choice">
          <legend className="visually-hidden">Time that is shown</legend>
          {WINDOWS.map((window) => (
            <label key={window.label}>
              <input
                type="radio"
                name="window"
                checked={window.seconds === seconds}
                onChange={() => setSeconds(window.seconds)}
              />
              {window.label}
            </label>
          ))}
        </fieldset>
      </div>
      <Answer query={history}>
        {(answer) => {
          const lines = historyLines(answer);
          const to = (timestampMs(answer.readTime) ?? 0) / 1_000;
          const frame = { times: lines.times, from: to - seconds, to };
          const rate = (value: number) => compact(value);
          const time = (value: number) => span(value);
          return (
            <div className="plots">
              <Panel title="Throughput" note="tasks a minute">
                <Plot
                  {...frame}
                  format={rate}
                  series={[{ label: "succeeded", color: "--plot-1", fill: true, values: lines.succeeded }]}
                />
              </Panel>
              <Panel title="Failures" note="a minute">
                <Plot
                  {...frame}
                  format={rate}
                  series={[
                    { label: "tasks", color: "--plot-2", fill: true, values: lines.failed },
                    {
                      label: "attempts that are tried again",
                      color: "--plot-4",
                      dash: [4, 3],
                      values: lines.failedAttempts,
                    },
                  ]}
                />
              </Panel>
              <Panel title="Wait before the start" note="of the tasks that were assigned">
                <Plot
                  {...frame}
                  format={time}
                  series={[
                    { label: "median", color: "--plot-1", values: lines.waitP50 },
                    { label: "95 in 100 within", color: "--plot-2", dash: [4, 3], values: lines.waitP95 },
                  ]}
                />
              </Panel>
              <Panel title="Backlog" note="tasks">
                <Plot
                  {...frame}
                  format={rate}
                  series={[
                    { label: "waiting", color: "--plot-2", fill: true, values: lines.ready },
                    { label: "active", color: "--plot-3", values: lines.active },
                    { label: "scheduled", color: "--plot-4", dash: [4, 3], values: lines.scheduled },
                  ]}
                />
              </Panel>
            </div>
          );
        }}
      </Answer>
    </section>
  );
}

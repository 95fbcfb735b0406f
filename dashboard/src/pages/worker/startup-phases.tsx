/** How a worker started: each phase with the time that it took. */
import type { Worker } from "@muster/protocol";
import type { ReactNode } from "react";
import { durationMs, span } from "../../format/span.ts";
import { Panel } from "../../ui/panel.tsx";

const WIDTH = 1_000;

export function StartupPhases({ worker: { startupPhases, usualStartup } }: { worker: Worker }): ReactNode {
  if (startupPhases.length === 0) return null;
  const times = startupPhases.map(({ elapsed }) => durationMs(elapsed) ?? 0);
  const total = Math.max(1, ...times);
  return (
    <Panel title="Startup" {...(usualStartup === "" ? {} : { note: usualStartup })}>
      <ul className="phases">
        {startupPhases.map(({ phase, outcome, detail }, index) => {
          const end = times[index] ?? 0;
          const begin = times[index - 1] ?? 0;
          return (
            <li className="phase" key={index}>
              <span className="clip" title={detail}>
                {phase} <span className="muted">{outcome === "ok" ? "" : outcome}</span>
              </span>
              <svg
                viewBox={`0 0 ${WIDTH} 10`}
                preserveAspectRatio="none"
                aria-hidden="true"
                focusable="false"
              >
                <rect
                  className="phase-bar"
                  x={(WIDTH * begin) / total}
                  width={Math.max(3, (WIDTH * Math.max(0, end - begin)) / total)}
                  height="10"
                />
              </svg>
              <span className="num muted">{span(end)}</span>
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}

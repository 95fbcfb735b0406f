/** What an empty list teaches. */
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { grpcAddressQuery } from "../../data/session.ts";
import { Copyable } from "../../ui/copy.tsx";
import { Panel } from "../../ui/panel.tsx";

export function NoTasks({ filtered, onClear }: { filtered: boolean; onClear: () => void }): ReactNode {
  const { data: address = "127.0.0.1:7070" } = useQuery(grpcAddressQuery);
  if (filtered)
    return (
      <Panel title="No task has all of this" flush>
        <div className="empty">
          <p>Ended tasks are kept for the days that the scheduler's --keep-days says.</p>
          <p>
            <button type="button" className="button" onClick={onClear}>
              Clear the filters
            </button>
          </p>
        </div>
      </Panel>
    );
  return (
    <Panel title="No task was submitted yet" flush>
      <div className="empty">
        <p>Submit one:</p>
        <Copyable text={`MUSTER_SCHEDULER_ADDR=${address} npx muster submit greet '{"name": "Ada"}'`} />
      </div>
    </Panel>
  );
}

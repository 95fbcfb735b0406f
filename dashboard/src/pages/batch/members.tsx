/** The members of a batch in the order of their ids, a page at a time. */
import { Link } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { useLive } from "../../data/live.ts";
import { tasks } from "../../data/transport.ts";
import { taskLook } from "../../format/task-state.ts";
import { Answer } from "../../ui/answer.tsx";
import { Badge } from "../../ui/badge.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Table } from "../../ui/table.tsx";
import { Ago } from "../../ui/time.tsx";

const MEMBERS_MS = 3_000;
const SHOWN = 100;

export function Members({ batch }: { batch: string }): ReactNode {
  // Tokens of the pages before, and of this one at the end.
  const [pages, setPages] = useState<readonly string[]>([""]);
  const pageToken = pages.at(-1) ?? "";
  const query = useLive(
    ["batch-members", batch, pageToken],
    (options) => tasks.listBatchTasks({ batchId: batch, pageSize: SHOWN, pageToken }, options),
    MEMBERS_MS,
  );
  return (
    <Panel title="Members" note="in the order of their ids" flush>
      <Answer query={query}>
        {({ tasks: members, nextPageToken }) =>
          members.length === 0 ? (
            <p className="empty muted">It has no tasks yet.</p>
          ) : (
            <>
              <Table headings={["Task", "State", "Type", "Queue", "Created"]}>
                {members.map(({ taskId, state, detail, taskType, queue, createTime }) => {
                  const { word, tone } = taskLook(state);
                  return (
                    <tr key={taskId}>
                      <td>
                        <Link to="/tasks/$id" params={{ id: taskId }} className="mono">
                          {taskId}
                        </Link>
                      </td>
                      <td>
                        <Badge tone={tone}>{word}</Badge>{" "}
                        {detail === "" || detail === word ? null : (
                          <span className="muted small">{detail}</span>
                        )}
                      </td>
                      <td>{taskType}</td>
                      <td>{queue}</td>
                      <td>
                        <Ago time={createTime} />
                      </td>
                    </tr>
                  );
                })}
              </Table>
              {pages.length === 1 && nextPageToken === "" ? null : (
                <p className="row pager">
                  <button
                    type="button"
                    className="button"
                    disabled={pages.length === 1}
                    onClick={() => setPages(pages.slice(0, -1))}
                  >
                    Before
                  </button>
                  <button
                    type="button"
                    className="button"
                    disabled={nextPageToken === ""}
                    onClick={() => setPages([...pages, nextPageToken])}
                  >
                    Next
                  </button>
                </p>
              )}
            </>
          )
        }
      </Answer>
    </Panel>
  );
}

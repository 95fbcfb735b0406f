/** What the handlers logged, live. */
import { LogLevel, type Task, type TaskLogRecord } from "@muster/protocol";
import { type ReactNode, useState } from "react";
import { useStream } from "../../data/stream.ts";
import { tasks } from "../../data/transport.ts";
import { timestampMs } from "../../format/span.ts";
import { Panel } from "../../ui/panel.tsx";
import { keepNewest, type LogState, NO_LOG } from "./log-state.ts";

const LEVELS: Readonly<Record<LogLevel, { word: string; tone: string }>> = {
  [LogLevel.UNSPECIFIED]: { word: "", tone: "muted" },
  [LogLevel.DEBUGGING]: { word: "debug", tone: "muted" },
  [LogLevel.INFO]: { word: "info", tone: "info" },
  [LogLevel.WARNING]: { word: "warn", tone: "warn" },
  [LogLevel.FAILURE]: { word: "error", tone: "bad" },
};

export function Logs({ task }: { task: Task }): ReactNode {
  const [level, setLevel] = useState<LogLevel>(LogLevel.UNSPECIFIED);
  const [text, setText] = useState("");
  const [log, setLog] = useState<LogState>(NO_LOG);
  const key = `${task.id} ${level} ${text}`;
  const current = log.key === key ? log : { ...NO_LOG, key };
  const state = useStream(
    key,
    (signal) =>
      tasks.watchTaskLogs(
        {
          taskId: task.id,
          filter: { minLevel: level, contains: text },
          after: [...current.positions].map(([attemptId, sequence]) => ({ attemptId, sequence })),
        },
        { signal },
      ),
    (message) => setLog((before) => keepNewest(before.key === key ? before : { ...NO_LOG, key }, message)),
  );
  return (
    <Panel
      title="Log"
      note={
        state.kind === "cut"
          ? `the stream is cut: ${state.why}; it is opened again`
          : state.kind === "open"
            ? "live"
            : "complete"
      }
    >
      <div className="row log-filter">
        <label className="field">
          Level
          <select
            className="input"
            value={level}
            onChange={(event) => setLevel(Number(event.target.value) as LogLevel)}
          >
            <option value={LogLevel.UNSPECIFIED}>every line</option>
            <option value={LogLevel.INFO}>info and higher</option>
            <option value={LogLevel.WARNING}>warn and higher</option>
            <option value={LogLevel.FAILURE}>error</option>
          </select>
        </label>
        <label className="field">
          Contains
          <input
            className="input"
            value={text}
            maxLength={256}
            onChange={(event) => setText(event.target.value)}
          />
        </label>
      </div>
      {current.records.length === 0 ? (
        <p className="muted">
          No line. Handlers log with <code>ctx.log.info("text")</code>.
        </p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, by keys too
        <div className="log" role="log" aria-label="Lines" tabIndex={0}>
          {current.dropped > 0 ? (
            <p className="muted">{current.dropped} earlier lines are not shown</p>
          ) : null}
          {current.records.map((record) => (
            <Line key={`${record.attemptId} ${record.sequence}`} record={record} />
          ))}
        </div>
      )}
    </Panel>
  );
}

function Line({
  record: { attemptId, time, level, message, fieldsJson, missingCount },
}: {
  record: TaskLogRecord;
}): ReactNode {
  if (missingCount > 0) return <p className="muted">{String(missingCount)} lines are missing here</p>;
  const { word, tone } = LEVELS[level] ?? LEVELS[LogLevel.INFO];
  const at = timestampMs(time);
  return (
    <p className="log-line">
      <span className="muted num">{at === undefined ? "" : new Date(at).toISOString().slice(11, 23)}</span>{" "}
      <span className="muted">{attemptId.slice(attemptId.lastIndexOf(".") + 1)}</span>{" "}
      <span className={`mark ${tone}`}>{word}</span> {message} <span className="muted">{fieldsJson}</span>
    </p>
  );
}

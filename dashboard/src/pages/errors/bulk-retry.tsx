/** Retries the tasks of a group: how many there are, then how far it is and what was refused. */
import type { SkippedTasks } from "@muster/protocol";
import { Link } from "@tanstack/react-router";
import { type FormEvent, type ReactNode, useState } from "react";
import { useMayChange } from "../../data/actions.ts";
import { type BulkRequest, type BulkStage, useBulkChange } from "../../data/bulk-change.ts";
import { compact, plural } from "../../format/span.ts";
import { Copyable } from "../../ui/copy.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Problem } from "../../ui/forms/problem.tsx";
import { ReasonField } from "../../ui/forms/reason-field.tsx";
import { Progress } from "../../ui/progress.tsx";

interface Props {
  /** What is retried, in words. */
  readonly title: string;
  readonly request: BulkRequest;
  readonly command: string;
  /** What the retry is for besides this group; empty for nothing. */
  readonly note: string;
}

export function BulkRetry(props: Props): ReactNode {
  const [open, setOpen] = useState(false);
  const may = useMayChange();
  if (!may) return null;
  return (
    <>
      <button type="button" className="button" onClick={() => setOpen(true)}>
        Retry all
      </button>
      {open ? <RetryDialog {...props} onClose={() => setOpen(false)} /> : null}
    </>
  );
}

function RetryDialog({ title, request, command, note, onClose }: Props & { onClose: () => void }): ReactNode {
  const { stage, expected, changed, problem, go, stop } = useBulkChange(request);
  const [said, setSaid] = useState("");
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget).get("reason");
    const text = typeof given === "string" ? given : said;
    setSaid(text);
    go(text);
  };
  const before = stage === "counting" || stage === "counted";
  return (
    <Dialog label={title} onClose={onClose}>
      <form onSubmit={submit}>
        <h2>{title}</h2>
        {before ? (
          <p aria-live="polite">
            {stage === "counting" && problem === ""
              ? `Counting: ${plural(expected.done, "task")} so far…`
              : null}
            {stage === "counted" ? (
              <>
                <strong>{plural(expected.done, "task")}</strong> would be queued again, each with a fresh
                retry budget.
              </>
            ) : null}
          </p>
        ) : (
          <div className="stack-small" aria-live="polite">
            <Progress share={share(stage, changed.matched, expected.matched)} />
            <p>
              {WORDS[stage]} <strong>{compact(changed.done)}</strong> of {plural(expected.done, "task")}{" "}
              queued again.
            </p>
          </div>
        )}
        {before && note !== "" ? <p className="muted">{note}</p> : null}
        <Refused skipped={before ? expected.skipped : changed.skipped} />
        {problem === "" ? null : <Problem text={problem} />}
        {before ? <ReasonField /> : null}
        {before ? <Copyable text={command} /> : null}
        <menu>
          {stage === "changing" ? (
            <button type="button" className="button danger" onClick={stop}>
              Stop
            </button>
          ) : (
            <button type="button" className="button" onClick={onClose}>
              Close
            </button>
          )}
          {before ? (
            <button
              type="submit"
              className="button primary"
              disabled={stage !== "counted" || expected.done === 0}
            >
              Retry {plural(expected.done, "task")}
            </button>
          ) : null}
          {stage === "cut" || stage === "stopped" ? (
            <button type="submit" className="button primary">
              Go on
            </button>
          ) : null}
        </menu>
      </form>
    </Dialog>
  );
}

const WORDS: Readonly<Record<BulkStage, string>> = {
  counting: "",
  counted: "",
  changing: "Under way:",
  cut: "Cut off; what was done stays:",
  stopped: "Stopped; what was done stays:",
  done: "Done:",
};

/** Tasks may have come since they were counted. */
function share(stage: BulkStage, matched: number, expected: number): number {
  return stage === "done" ? 1 : Math.min(0.99, matched / Math.max(1, expected));
}

/** Tasks that stay as they are, by reason. */
function Refused({ skipped }: { skipped: readonly SkippedTasks[] }): ReactNode {
  if (skipped.length === 0) return null;
  return (
    <ul className="refused">
      {skipped.map(({ code, message, skippedCount, taskIds }) => (
        <li key={code}>
          <p>
            <strong>{plural(skippedCount, "task")}</strong> left as they are: {message} <code>{code}</code>
          </p>
          <p className="muted small">
            {taskIds.map((id, n) => (
              <span key={id}>
                {n === 0 ? "" : ", "}
                <Link to="/tasks/$id" params={{ id }}>
                  {id}
                </Link>
              </span>
            ))}
          </p>
        </li>
      ))}
    </ul>
  );
}

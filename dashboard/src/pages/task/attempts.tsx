/** Attempts with their errors, the last one first. */
import type { Attempt, Failure, Task } from "@muster/protocol";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { Badge } from "../../ui/badge.tsx";
import { Hidden } from "../../ui/content/hidden.tsx";
import { CopyButton } from "../../ui/copy.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Ago } from "../../ui/time.tsx";

export function Attempts({ task }: { task: Task }): ReactNode {
  const { attempts, omittedAttemptCount, failure } = task;
  const lastIsListed = attempts.at(-1)?.id === task.attemptId;
  if (attempts.length === 0 && !failure) return null;
  return (
    <Panel
      title="Failures and earlier attempts"
      {...(omittedAttemptCount > 0 ? { note: `${omittedAttemptCount} of the middle are left out` } : {})}
      flush
    >
      <ul className="attempts">
        {failure && !lastIsListed ? (
          <li>
            <p className="row">
              <span className="mono">{task.attemptId || task.id}</span>
              <Badge tone="bad">{failure.code}</Badge>
            </p>
            <FailureText failure={failure} />
          </li>
        ) : null}
        {attempts.toReversed().map((attempt) => (
          <AttemptItem key={`${attempt.id} ${attempt.outcome}`} attempt={attempt} />
        ))}
      </ul>
    </Panel>
  );
}

function AttemptItem({
  attempt: { id, workerId, outcome, failure, endTime },
}: {
  attempt: Attempt;
}): ReactNode {
  return (
    <li>
      <p className="row">
        <span className="mono">{id}</span>
        <Badge tone={failure ? "bad" : "plain"}>{failure?.code || outcome}</Badge>
        {workerId === "" ? null : (
          <Link to="/workers/$id" params={{ id: workerId }}>
            {workerId}
          </Link>
        )}
        <span className="muted">
          {outcome} <Ago time={endTime} />
        </span>
      </p>
      {failure ? <FailureText failure={failure} /> : null}
    </li>
  );
}

function FailureText({ failure: { message, traceback, details } }: { failure: Failure }): ReactNode {
  return (
    <>
      <p className="failure">{message}</p>
      {traceback === "" ? null : (
        <details>
          <summary>Traceback</summary>
          <Hidden what="the traceback">
            <pre className="text-content">{traceback}</pre>
            <CopyButton text={traceback} label="Copy the traceback" />
          </Hidden>
        </details>
      )}
      {details === "" ? null : (
        <details>
          <summary>Details</summary>
          <Hidden what="the details">
            <pre className="text-content">{details}</pre>
          </Hidden>
        </details>
      )}
    </>
  );
}

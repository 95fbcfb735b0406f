/** Concurrency keys: who holds each since when, who waits, and the limits that operators have set. */
import type { Lock } from "@muster/protocol";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { fleet } from "../../data/transport.ts";
import { compact, plural } from "../../format/span.ts";
import { Action } from "../../ui/action.tsx";
import { Answer } from "../../ui/answer.tsx";
import { Badge } from "../../ui/badge.tsx";
import { Copyable } from "../../ui/copy.tsx";
import { FieldsAction } from "../../ui/forms/fields-action.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Table } from "../../ui/table.tsx";
import { Ago } from "../../ui/time.tsx";

const LOCKS_MS = 2_000;
const SHOWN = 200;

/** Holders that are shown at once; the answer has at most 20. */
const HOLDERS = 3;

const MOST = 1_000_000;

export function Locks({ only }: { only: string }): ReactNode {
  const query = useLive(
    ["locks", only],
    (options) => fleet.listLocks({ pageSize: SHOWN, key: only }, options),
    LOCKS_MS,
  );
  return (
    <Answer query={query}>
      {({ locks, nextPageToken }) => (
        <Panel
          title="Concurrency keys"
          note={nextPageToken === "" ? "at most so many tasks with a key run at once" : `the first ${SHOWN}`}
          flush
        >
          {locks.length === 0 ? (
            <div className="empty">
              <p className="muted">
                {only === ""
                  ? "No task holds a key or waits for one. Tasks with the same key share a limit:"
                  : "No task holds this key or waits for it, and it has no limit of an operator."}
              </p>
              {only === "" ? (
                <Copyable text="npx muster submit report.build '{}' --concurrency tenant:acme=1" />
              ) : null}
            </div>
          ) : (
            <Table
              headings={[
                "Key",
                { title: "Held", end: true },
                "Limit",
                "Held by",
                "Waiting",
                { title: "Change", hidden: true },
              ]}
            >
              {locks.toSorted(byNeed).map((lock) => (
                <LockRow key={lock.key} lock={lock} />
              ))}
            </Table>
          )}
          <p className="foot">
            <FieldsAction
              label="Set a limit"
              title="Set the limit of a key"
              consequence="It takes the place of the limits of the tasks until it is removed."
              fields={[{ name: "key", label: "Key", value: only }, limitField("")]}
              call={({ key = "", limit }, reason) =>
                fleet.setConcurrencyLimit({ key, limit: Number(limit), reason })
              }
            />
          </p>
        </Panel>
      )}
    </Answer>
  );
}

function limitField(value: string) {
  return {
    name: "limit",
    label: "Tasks at once; 0 lets none start",
    value,
    bounds: [0, MOST],
  } as const;
}

/** Keys that tasks wait for first. */
function byNeed(a: Lock, b: Lock): number {
  return Number(b.waitingCount - a.waitingCount) || a.key.localeCompare(b.key);
}

function LockRow({ lock }: { lock: Lock }): ReactNode {
  const { key, heldCount, holders, waitingCount, waitingTime, limitOverride, firstTaskId } = lock;
  const limit = limitOverride ?? lock.lowestTaskLimit;
  return (
    <tr>
      <td className="key">{key}</td>
      <td className="end">{compact(heldCount)}</td>
      <td className="limits-text">
        {limitOverride === undefined ? (
          limits(lock)
        ) : (
          <>
            {limitOverride}{" "}
            <Badge tone="info" icon="info">
              set
            </Badge>
            <div className="muted small">
              {lock.limitReason} <Ago time={lock.limitTime} />
            </div>
          </>
        )}
      </td>
      <td className="limits-text">
        {holders.length === 0 ? (
          <span className="muted">no task</span>
        ) : (
          <ul>
            {holders.slice(0, HOLDERS).map(({ attemptId, workerId, taskType, holdTime }) => (
              <li key={attemptId}>
                <Link to="/tasks/$id" params={{ id: attemptId.replace(/\.\d+$/, "") }} className="mono">
                  {attemptId}
                </Link>{" "}
                {taskType} on{" "}
                <Link to="/workers/$id" params={{ id: workerId }}>
                  {workerId}
                </Link>{" "}
                <span className="muted small">
                  <Ago time={holdTime} />
                </span>
              </li>
            ))}
          </ul>
        )}
        {heldCount > BigInt(Math.min(HOLDERS, holders.length)) && holders.length > 0 ? (
          <span className="muted small">
            and {compact(heldCount - BigInt(Math.min(HOLDERS, holders.length)))} more
          </span>
        ) : null}
      </td>
      <td>
        {waitingCount === 0n ? (
          <span className="muted">none</span>
        ) : (
          <Badge tone="warn" icon="wait">
            {plural(waitingCount, "task")}
          </Badge>
        )}
        {waitingTime ? (
          <div className="muted small">
            ready <Ago time={waitingTime} />
          </div>
        ) : null}
        {firstTaskId === "" ? null : (
          <div className="small">
            in order, next{" "}
            <Link to="/tasks/$id" params={{ id: firstTaskId }} className="mono">
              {firstTaskId}
            </Link>
          </div>
        )}
      </td>
      <td className="end">
        <FieldsAction
          label="Set limit"
          title={`Set the limit of ${key}`}
          consequence="It takes the place of the limits of the tasks until it is removed; tasks that hold the key continue."
          fields={[limitField(String(limit))]}
          call={(values, reason) => fleet.setConcurrencyLimit({ key, limit: Number(values.limit), reason })}
        />
        {limitOverride === undefined ? null : (
          <Action
            label="Remove limit"
            title={`Remove the limit of ${key}`}
            consequence="The limits of the tasks count again."
            asksReason={false}
            call={() => fleet.unsetConcurrencyLimit({ key })}
          />
        )}
      </td>
    </tr>
  );
}

/** The limits of the tasks. */
function limits({ lowestTaskLimit, highestTaskLimit }: Lock): string {
  if (lowestTaskLimit === 0) return "none";
  return lowestTaskLimit === highestTaskLimit
    ? String(lowestTaskLimit)
    : `${lowestTaskLimit} to ${highestTaskLimit}, by task`;
}

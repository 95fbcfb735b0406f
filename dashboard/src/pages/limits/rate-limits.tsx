/** Rate limit keys: their buckets with the next token, who waits, pauses, and the rates that operators have set. */
import type { RateLimitKey, TokenBucket } from "@muster/protocol";
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { fleet } from "../../data/transport.ts";
import { compact, durationMs, plural, span } from "../../format/span.ts";
import { Action } from "../../ui/action.tsx";
import { Answer } from "../../ui/answer.tsx";
import { Badge } from "../../ui/badge.tsx";
import { Copyable } from "../../ui/copy.tsx";
import { FieldsAction } from "../../ui/forms/fields-action.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Progress } from "../../ui/progress.tsx";
import { Table } from "../../ui/table.tsx";
import { Ago } from "../../ui/time.tsx";

const RATES_MS = 2_000;
const SHOWN = 200;

const MOST = 1_000_000;
const MAX_PERIOD_S = 366 * 86_400;

/** Longest pause of a key, seconds. */
const MAX_PAUSE_S = 7 * 86_400;

export function RateLimits({ only }: { only: string }): ReactNode {
  const query = useLive(
    ["rate-limits", only],
    (options) => fleet.listRateLimits({ pageSize: SHOWN, key: only }, options),
    RATES_MS,
  );
  return (
    <Answer query={query}>
      {({ keys, nextPageToken }) => (
        <Panel
          title="Rate limits"
          note={nextPageToken === "" ? "each start of a task takes a token" : `the first ${SHOWN}`}
          flush
        >
          {keys.length === 0 ? (
            <div className="empty">
              <p className="muted">
                {only === ""
                  ? "No task waits for a token, and every bucket is full. Tasks with the same key share a rate:"
                  : "No task waits for a token of this key, and its bucket is full."}
              </p>
              {only === "" ? (
                <Copyable text="npx muster submit mail.send '{}' --rate-limit smtp=100/1m" />
              ) : null}
            </div>
          ) : (
            <Table
              headings={["Key", "Rate", "Tokens", "Next token", "Waiting", { title: "Change", hidden: true }]}
            >
              {keys.toSorted(byNeed).map((each) => (
                <RateRow key={each.key} rate={each} />
              ))}
            </Table>
          )}
          <p className="foot">
            <FieldsAction
              label="Set a rate"
              title="Set the rate of a key"
              consequence="It takes the place of the rates of the tasks until it is removed. Its bucket is full at first."
              fields={[{ name: "key", label: "Key", value: only }, ...rateFields(undefined)]}
              call={({ key = "", ...values }, reason) => setRate(key, values, reason)}
            />
          </p>
        </Panel>
      )}
    </Answer>
  );
}

function rateFields(bucket: TokenBucket | undefined) {
  const periodMs = durationMs(bucket?.period);
  return [
    { name: "limit", label: "Starts in a period", value: String(bucket?.limit ?? ""), bounds: [1, MOST] },
    {
      name: "period",
      label: "The period, seconds",
      value: periodMs === undefined ? "" : String(Math.round(periodMs / 1_000)),
      bounds: [1, MAX_PERIOD_S],
    },
    {
      name: "burst",
      label: "Tokens that the bucket holds; empty for the starts in a period",
      value: bucket && bucket.burst !== bucket.limit ? String(bucket.burst) : "",
      bounds: [1, MOST],
      optional: true,
    },
  ] as const;
}

function setRate(key: string, values: Readonly<Record<string, string>>, reason: string): Promise<unknown> {
  const { limit = "0", period = "0", burst = "" } = values;
  const rateLimit = {
    key,
    limit: Number(limit),
    period: { seconds: BigInt(period) },
    burst: Number(burst),
  };
  return fleet.setRateLimit({ rateLimit, reason });
}

/** Keys that tasks wait for first. */
function byNeed(a: RateLimitKey, b: RateLimitKey): number {
  return Number(b.waitingCount - a.waitingCount) || a.key.localeCompare(b.key);
}

function RateRow({ rate }: { rate: RateLimitKey }): ReactNode {
  const { key, buckets, pause, waitingCount, waitingTime, limitTime, limitReason } = rate;
  const [bucket] = buckets;
  const next = durationMs(bucket?.nextTokenDelay);
  const isSet = bucket?.overrides === true;
  return (
    <tr>
      <td className="key">{key}</td>
      <td>
        {bucket ? bucketText(bucket) : "–"}{" "}
        {isSet ? (
          <Badge tone="info" icon="info">
            set
          </Badge>
        ) : null}
        {isSet ? (
          <div className="muted small">
            {limitReason} <Ago time={limitTime} />
          </div>
        ) : null}
        {buckets.slice(1).map((other) => (
          <div className="muted small" key={bucketText(other)}>
            {bucketText(other)}: {plural(other.tokenCount, "token")}
          </div>
        ))}
      </td>
      <td className="nowrap">
        {bucket ? (
          <>
            <Progress share={bucket.tokenCount / Math.max(1, bucket.burst)} />
            <span className="muted small">
              {compact(bucket.tokenCount)} of {compact(bucket.burst)}
            </span>
          </>
        ) : null}
      </td>
      <td className="nowrap">
        {pause ? (
          <>
            <Badge tone="warn" icon="pause">
              paused
            </Badge>{" "}
            until <Ago time={pause.endTime} />
            <div className="muted small">
              {pause.reason}
              {pause.requester === "" ? "" : ` (${pause.requester})`}
            </div>
          </>
        ) : next === undefined ? (
          "there is one"
        ) : (
          `in ${span(Math.ceil(next / 1_000) * 1_000)}`
        )}
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
      </td>
      <td className="end">
        <FieldsAction
          label="Set rate"
          title={`Set the rate of ${key}`}
          consequence="It takes the place of the rates of the tasks until it is removed. Its bucket is full at first."
          fields={rateFields(bucket)}
          call={(values, reason) => setRate(key, values, reason)}
        />
        {isSet ? (
          <Action
            key="unset"
            label="Remove rate"
            title={`Remove the rate of ${key}`}
            consequence="The rates of the tasks count again."
            asksReason={false}
            call={() => fleet.unsetRateLimit({ key })}
          />
        ) : null}
        {pause ? (
          <Action
            key="resume"
            label="Resume"
            title={`End the pause of ${key}`}
            consequence="Tasks with the key start again."
            asksReason={false}
            call={() => fleet.resumeKey({ key })}
          />
        ) : (
          <FieldsAction
            key="pause"
            label="Pause"
            title={`Pause ${key}`}
            consequence="No task with the key starts until the pause ends; those that run continue."
            fields={[
              { name: "seconds", label: "For how many seconds", value: "600", bounds: [1, MAX_PAUSE_S] },
            ]}
            call={({ seconds = "0" }, reason) =>
              fleet.pauseKey({ key, duration: { seconds: BigInt(seconds) }, reason })
            }
          />
        )}
      </td>
    </tr>
  );
}

/** `100 in 60 s`. */
function bucketText({ limit, period }: TokenBucket): string {
  return `${compact(limit)} in ${span(durationMs(period) ?? 0)}`;
}

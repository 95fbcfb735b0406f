/** Cases of the prose snapshot: tasks that wait for a concurrency key or a rate limit. */
import { queueRateKey } from "../../tasks/limits/rate-limit.ts";
import { ago, member } from "./fixture.ts";
import { waiting } from "./made-facts.ts";
import type { ProseCase } from "./prose-case.ts";

const holder = (taskId: number) => ({
  ...{ key: "customer-17", taskId, epoch: 1, type: "ocr", queue: "default", workerId: `w-${taskId}` },
  since: ago(12_000),
});

const asks = (held: number, limit: number, override?: number) => ({
  keys: {
    fullSince: ago(5_000),
    behindSince: undefined,
    asked: [
      {
        ...{ key: "customer-17", limit, held },
        override:
          override === undefined
            ? undefined
            : { limit: override, reason: "their API is overloaded (by ada)", time: ago(300_000) },
        holders: [7, 8, 9, 10].slice(0, held).map(holder),
      },
    ],
  },
});

const BEHIND = {
  keys: {
    fullSince: undefined,
    behindSince: ago(5_000),
    asked: [
      {
        ...{ key: "order-17", limit: 1, held: 0, override: undefined, holders: [] },
        older: {
          ...{ id: 17, type: "order.change", queue: "orders", code: "QUEUE_PAUSED" },
          summary: "queue orders has been paused for 5 min: a migration (by ada)",
          remedy: "run `muster queue resume orders` when the reason is gone",
          since: ago(300_000),
        },
      },
    ],
  },
};

const limits = (burst: number, override?: string, key = "smtp") => {
  const own = { limit: 100, periodMs: 60_000, burst };
  const bucket = { ...own, overrides: override !== undefined, pausedMs: 0, debtMs: burst * 600 - 260 };
  const set = override === undefined ? undefined : { reason: override, time: ago(300_000) };
  return {
    rates: {
      emptySince: ago(2_000),
      asked: [
        {
          key,
          own,
          state: { key, buckets: [bucket], override: set, pause: undefined },
          waiting: override ? 0 : 40,
        },
      ],
    },
  };
};

const pausedKey = (by: string | undefined, reason: string) => {
  const pause = { until: ago(-42_000), leftMs: 42_000, reason, by, time: ago(18_000) };
  const state = { key: "smtp", buckets: [], override: undefined, pause };
  const own = { limit: 100, periodMs: 60_000, burst: 10 };
  return { rates: { emptySince: undefined, asked: [{ key: "smtp", own, state, waiting: 3 }] } };
};

export const KEY_PROSE: readonly ProseCase[] = [
  {
    code: "CONCURRENCY_KEY_HELD",
    when: "one task holds its key",
    write: () => waiting([member()], asks(1, 1)),
  },
  {
    code: "CONCURRENCY_KEY_HELD",
    when: "more tasks hold its key than are named, by an operator's limit",
    write: () => waiting([member()], asks(5, 9, 4)),
  },
  {
    code: "CONCURRENCY_KEY_HELD",
    when: "an operator set the limit of its key to 0",
    write: () => waiting([member()], asks(0, 2, 0)),
  },
  {
    code: "OLDER_TASK_FIRST",
    when: "the older task waits in a paused queue",
    write: () => waiting([member()], BEHIND),
  },
  {
    code: "RATE_LIMITED",
    when: "others wait for the same tokens",
    write: () => waiting([member()], limits(20)),
  },
  {
    code: "RATE_LIMITED",
    when: "by an operator's rate",
    write: () => waiting([member()], limits(1, "the provider complained (by ada)")),
  },
  {
    code: "KEY_PAUSED",
    when: "a handler asked for it",
    write: () => waiting([member()], pausedKey("t-7.1 on mail-3", "HTTP 429")),
  },
  {
    code: "KEY_PAUSED",
    when: "an operator asked for it",
    write: () => waiting([member()], pausedKey(undefined, "they do maintenance (by ada)")),
  },
  {
    code: "RATE_LIMITED",
    when: "by the rate of its queue",
    write: () => waiting([member()], limits(10, "disk is slow (by ada)", queueRateKey("nightly"))),
  },
];

/** The handlers of FleetService for queues. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { NAME, NAME_RULE } from "@muster/common/text/name-forms";
import { quoted } from "@muster/common/text/text";
import type { FleetService, QueueSchema } from "@muster/protocol";
import type { PausedQueues } from "../../../dispatch/admission/paused-queues.ts";
import type { RateLimits } from "../../../dispatch/admission/rate-limits.ts";
import type { QueueBuilds } from "../../../dispatch/builds/queue-builds.ts";
import type { Dispatcher } from "../../../dispatch/claiming/dispatcher.ts";
import type { QueueSettingsCache } from "../../../dispatch/queue-settings.ts";
import type { ShareWeights } from "../../../dispatch/sharing/share-weights.ts";
import type { QueueLimits } from "../../../dispatch/submission/queue-limits.ts";
import { Refusal, type Violation } from "../../../domain/errors.ts";
import { RecentCompletions } from "../../../domain/recent-completions.ts";
import { invalidRequest } from "../../../domain/refusals.ts";
import { MAX_WEIGHT } from "../../../domain/tasks/fairness.ts";
import { RECENT_MS } from "../../../domain/workers/completions.ts";
import type { Explainer } from "../../../queries/explainer.ts";
import type { QueueStore, RateLimitStore, StatisticsStore } from "../../../store/store.ts";
import { fromExplanation } from "../../convert/fleet/explanation.ts";
import { fromQueue } from "../../convert/fleet/queue.ts";
import { toQueueChange } from "../../convert/fleet/queue-settings.ts";
import { toRate } from "../../convert/tasks/limits/rate-limits.ts";
import { fitPage } from "../../convert/values/message-size.ts";
import { storable } from "../../convert/values/text.ts";
import type { Handlers } from "../../server/handlers.ts";
import { nameToken, pageSize, parseNameToken } from "../pages.ts";

/** Types of a queue that are sent: those with the most ready tasks. */
const MAX_TYPES = 50;

/** Largest limit of a queue. */
const MAX_WAITING = 1_000_000_000n;

/** Parts that the handlers of queues use. */
export interface QueueHandlerParts {
  readonly store: Pick<
    QueueStore,
    | "configureQueue"
    | "listQueues"
    | "pausedQueues"
    | "queueDepths"
    | "setQueueLimit"
    | "setQueuePaused"
    | "setQueueWeight"
  > &
    Pick<RateLimitStore, "pausedKeys" | "queueRates" | "rateOverrides" | "setQueueRate"> &
    Pick<StatisticsStore, "recentCompletions">;
  readonly pausedQueues: PausedQueues;
  readonly queueLimits: Pick<QueueLimits, "refresh">;
  readonly queueBuilds: Pick<QueueBuilds, "refresh">;
  readonly queueSettings: Pick<QueueSettingsCache, "refresh">;
  readonly rateLimits: Pick<RateLimits, "refresh">;
  readonly shareWeights: Pick<ShareWeights, "refresh">;
  readonly dispatcher: Pick<Dispatcher, "lookAgain">;
  readonly explainer: Pick<Explainer, "queue">;
  readonly pageBytes: number;
  /** The scheduler's own retention, days. */
  readonly keepDays: number;
}

type QueueHandlers = Pick<
  Handlers<typeof FleetService>,
  | "listQueues"
  | "explainQueue"
  | "pauseQueue"
  | "resumeQueue"
  | "limitQueue"
  | "rateLimitQueue"
  | "setQueueWeight"
  | "configureQueue"
>;

export function queueHandlers(parts: QueueHandlerParts): QueueHandlers {
  const { store, pausedQueues, queueLimits, queueSettings, rateLimits, shareWeights } = parts;
  const { dispatcher, explainer, pageBytes } = parts;
  const recently = async () => new RecentCompletions(await store.recentCompletions(RECENT_MS));
  const describe = async (name: string): Promise<MessageInitShape<typeof QueueSchema>> => {
    const [queue] = await store.queueDepths({ name, limit: 1, maxTypes: MAX_TYPES });
    return queue ? fromQueue(queue, await recently(), (await store.queueRates()).get(name)) : { name };
  };
  return {
    async listQueues(request) {
      const limit = pageSize(request.pageSize, 50);
      const afterName = parseNameToken(request.pageToken);
      const found = await store.queueDepths({ afterName, limit: limit + 1, maxTypes: MAX_TYPES });
      const rates = await store.queueRates();
      const recent = await recently();
      const page = fitPage(
        found,
        limit,
        (queue) => fromQueue(queue, recent, rates.get(queue.name)),
        pageBytes,
      );
      return { queues: page.items, nextPageToken: page.last && page.more ? nameToken(page.last.name) : "" };
    },

    async explainQueue({ queue }) {
      const explanation = await explainer.queue(storable(queue, 256));
      if (!explanation) {
        const rows = await store.listQueues();
        throw new Refusal(
          "not_found",
          "QUEUE_NOT_FOUND",
          `there is no queue ${quoted(queue, 140)}; known: ${rows.map(({ name }) => name).join(", ") || "none yet"}`,
        );
      }
      return { explanation: fromExplanation(explanation) };
    },

    async pauseQueue({ queue, reason }) {
      const name = requireQueueName(queue);
      await store.setQueuePaused(name, storable(reason, 1_024) || "paused by an operator");
      await pausedQueues.refresh(store);
      return { queue: await describe(name) };
    },

    async resumeQueue({ queue }) {
      const name = requireQueueName(queue);
      await store.setQueuePaused(name, undefined);
      await pausedQueues.refresh(store);
      dispatcher.lookAgain();
      return { queue: await describe(name) };
    },

    async limitQueue({ queue, maxWaitingCount, reason }) {
      const name = requireQueueName(queue);
      if (maxWaitingCount < 0n || maxWaitingCount > MAX_WAITING)
        throw invalidRequest({
          field: "max_waiting_count",
          description: `${maxWaitingCount} is not from 1 to ${MAX_WAITING}, or 0 to end the limit`,
        });
      const max = maxWaitingCount === 0n ? undefined : Number(maxWaitingCount);
      await store.setQueueLimit(name, max, storable(reason, 1_024) || "set by an operator");
      await queueLimits.refresh();
      return { queue: await describe(name) };
    },

    async setQueueWeight({ queue, weight, reason }) {
      const name = requireQueueName(queue);
      if (weight < 1 || weight > MAX_WEIGHT)
        throw invalidRequest({
          field: "weight",
          description: `${weight} is not between 1 and ${MAX_WEIGHT}`,
        });
      await store.setQueueWeight(name, weight, storable(reason, 1_024) || "set by an operator");
      await shareWeights.refresh();
      return { queue: await describe(name) };
    },

    async configureQueue(request) {
      const name = requireQueueName(request.queue);
      const change = toQueueChange(request, parts.keepDays);
      const reason = storable(request.reason, 1_024) || "set by an operator";
      await store.configureQueue(name, { ...change, reason });
      await queueSettings.refresh();
      await parts.queueBuilds.refresh();
      dispatcher.lookAgain();
      return { queue: await describe(name) };
    },

    async rateLimitQueue({ queue, rate: asked, reason }) {
      const name = requireQueueName(queue);
      const violations: Violation[] = [];
      const report = (field: string, description: string) =>
        void violations.push({ field: `rate.${field}`, description });
      const rate = asked && toRate(asked, report);
      const [first, ...others] = violations;
      if (first) throw invalidRequest(first, ...others);
      const setting = rate && { rate, reason: storable(reason, 1_024) || "set by an operator" };
      await store.setQueueRate(name, setting);
      await rateLimits.refresh(store);
      dispatcher.lookAgain();
      return { queue: await describe(name) };
    },
  };
}

/** @throws Refusal `INVALID_REQUEST` */
export function requireQueueName(queue: string): string {
  if (NAME.test(queue)) return queue;
  throw invalidRequest({
    field: "queue",
    description: `${quoted(queue, 140)} is not a queue name: it ${NAME_RULE}`,
  });
}

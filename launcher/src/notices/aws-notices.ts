/** Notices of AWS: interruptions of spot instances and rebalance recommendations, by the instance metadata service, version 2. */
import {
  fieldsOf,
  type MetadataAnswer,
  type MetadataEndpoint,
  unexpected,
  untilMs,
} from "./metadata-endpoint.ts";
import type { Notice, NoticeSource } from "./notice.ts";

const TOKEN = "/latest/api/token";
const INSTANCE_ACTION = "/latest/meta-data/spot/instance-action";
const REBALANCE = "/latest/meta-data/events/recommendations/rebalance";

/** Longest time to live that the service gives to a token. */
const TOKEN_SECONDS = 21_600;

/** The pause that AWS recommends. */
const PAUSE_MS = 5_000;

/** Asks the instance metadata service. */
export class AwsNotices implements NoticeSource {
  readonly pauseMs = PAUSE_MS;
  readonly #endpoint: MetadataEndpoint;
  readonly #now: () => number;
  #token: string | undefined;

  /** @param now Milliseconds since the epoch, for an answer without a date. */
  constructor(endpoint: MetadataEndpoint, now: () => number) {
    this.#endpoint = endpoint;
    this.#now = now;
  }

  async ask(signal: AbortSignal): Promise<Notice | undefined> {
    const action = await this.#get(INSTANCE_ACTION, signal);
    if (action) {
      const { action: event, time } = fieldsOf(INSTANCE_ACTION, action);
      if (typeof event !== "string" || event === "") throw unexpected(INSTANCE_ACTION, action);
      const endsInMs = untilMs(INSTANCE_ACTION, time, action, this.#now());
      return { source: "aws", event, detail: `spot interruption at ${time}`, endsInMs };
    }
    const advice = await this.#get(REBALANCE, signal);
    if (!advice) return undefined;
    const { noticeTime } = fieldsOf(REBALANCE, advice);
    if (typeof noticeTime !== "string") throw unexpected(REBALANCE, advice);
    const detail = `rebalance recommendation of ${noticeTime}`;
    return { source: "aws", event: "rebalance", detail, endsInMs: undefined };
  }

  /** The answer, or undefined when the service has nothing at the path (404). */
  async #get(path: string, signal: AbortSignal): Promise<MetadataAnswer | undefined> {
    let answer = await this.#withToken(path, signal);
    if (answer.status === 401) {
      // The token has expired.
      this.#token = undefined;
      answer = await this.#withToken(path, signal);
    }
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw unexpected(path, answer);
    return answer;
  }

  async #withToken(path: string, signal: AbortSignal): Promise<MetadataAnswer> {
    this.#token ??= await this.#newToken(signal);
    return this.#endpoint.call({ path, headers: { "X-aws-ec2-metadata-token": this.#token } }, signal);
  }

  async #newToken(signal: AbortSignal): Promise<string> {
    const headers = { "X-aws-ec2-metadata-token-ttl-seconds": String(TOKEN_SECONDS) };
    const answer = await this.#endpoint.call({ method: "PUT", path: TOKEN, headers }, signal);
    // A header takes printable characters alone.
    if (answer.status !== 200 || !/^[\x21-\x7e]{1,4096}$/.test(answer.body)) throw unexpected(TOKEN, answer);
    return answer.body;
  }
}

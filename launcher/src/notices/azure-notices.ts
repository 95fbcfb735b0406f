/** Notices of Azure: evictions and terminations, by the Scheduled Events of the instance metadata service. */
import {
  fieldsOf,
  type MetadataAnswer,
  type MetadataEndpoint,
  unexpected,
  untilMs,
} from "./metadata-endpoint.ts";
import type { Notice, NoticeSource } from "./notice.ts";

const EVENTS = "/metadata/scheduledevents?api-version=2020-07-01";
const NAME = "/metadata/instance/compute/name?api-version=2021-02-01&format=text";

/** The first call of a machine enables the service, which takes up to two minutes. */
const FIRST_CALL_MS = 130_000;

/** The pause that Azure recommends: a notice comes 30 s before an eviction. */
const PAUSE_MS = 1_000;

/** Events after which the machine is gone. */
const ENDS: ReadonlySet<unknown> = new Set(["Preempt", "Terminate"]);

const HEADERS = { Metadata: "true" };

/** Asks for scheduled events. They are those of the whole set of machines: the ones of this machine are picked out by its name. */
export class AzureNotices implements NoticeSource {
  readonly pauseMs = PAUSE_MS;
  readonly #endpoint: MetadataEndpoint;
  readonly #now: () => number;
  #name: string | undefined;
  #enabled = false;

  /** @param now Milliseconds since the epoch, for an answer without a date. */
  constructor(endpoint: MetadataEndpoint, now: () => number) {
    this.#endpoint = endpoint;
    this.#now = now;
  }

  async ask(signal: AbortSignal): Promise<Notice | undefined> {
    this.#name ??= await this.#readName(signal);
    const first = this.#enabled ? {} : { timeoutMs: FIRST_CALL_MS };
    const answer = await this.#endpoint.call({ path: EVENTS, headers: HEADERS, ...first }, signal);
    if (answer.status !== 200) throw unexpected(EVENTS, answer);
    this.#enabled = true;
    const { Events: events } = fieldsOf(EVENTS, answer);
    if (!Array.isArray(events)) throw unexpected(EVENTS, answer);
    const notices = events.flatMap((event: unknown) => this.#noticeOf(Object(event), answer));
    return notices.toSorted((a, b) => (a.endsInMs ?? 0) - (b.endsInMs ?? 0))[0];
  }

  async #readName(signal: AbortSignal): Promise<string> {
    const answer = await this.#endpoint.call({ path: NAME, headers: HEADERS }, signal);
    const name = answer.body.trim();
    if (answer.status !== 200 || name === "") throw unexpected(NAME, answer);
    return name;
  }

  #noticeOf(event: Readonly<Record<string, unknown>>, answer: MetadataAnswer): Notice[] {
    const { EventType: type, EventStatus, Resources, NotBefore, Description, EventSource } = event;
    if (!ENDS.has(type) || !Array.isArray(Resources) || !Resources.includes(this.#name)) return [];
    // One that has started has no time any more.
    const endsInMs =
      EventStatus === "Started" || NotBefore === "" ? 0 : untilMs(EVENTS, NotBefore, answer, this.#now());
    const detail = [EventSource, Description].filter((text) => typeof text === "string" && text !== "");
    return [{ source: "azure", event: String(type), detail: detail.join(": "), endsInMs }];
  }
}

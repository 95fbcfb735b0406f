/** Notices of Google Cloud: preemptions of spot machines, by the metadata server. */
import { type MetadataEndpoint, MetadataError, unexpected } from "./metadata-endpoint.ts";
import type { Notice, NoticeSource } from "./notice.ts";

const PREEMPTED = "/computeMetadata/v1/instance/preempted";

/** How long the server may wait for a change, and this client beyond that. */
const WAIT_SECONDS = 60;
const WAIT_MORE_MS = 10_000;

/** A machine is stopped this long after the notice. */
const NOTICE_MS = 30_000;

/** Keeps the calls apart when a server does not wait. */
const PAUSE_MS = 1_000;

/** Asks the metadata server: at first for the state, then for its change. */
export class GcpNotices implements NoticeSource {
  readonly pauseMs = PAUSE_MS;
  readonly #endpoint: MetadataEndpoint;
  #etag = "";

  constructor(endpoint: MetadataEndpoint) {
    this.#endpoint = endpoint;
  }

  async ask(signal: AbortSignal): Promise<Notice | undefined> {
    const waiting = this.#etag !== "";
    const query = waiting
      ? `?wait_for_change=true&timeout_sec=${WAIT_SECONDS}&last_etag=${encodeURIComponent(this.#etag)}`
      : "";
    this.#etag = "";
    const answer = await this.#endpoint.call(
      {
        path: `${PREEMPTED}${query}`,
        headers: { "Metadata-Flavor": "Google" },
        ...(waiting ? { timeoutMs: WAIT_SECONDS * 1_000 + WAIT_MORE_MS } : {}),
      },
      signal,
    );
    if (answer.status !== 200) throw unexpected(PREEMPTED, answer);
    if (answer.header("metadata-flavor") !== "Google")
      throw new MetadataError(
        `${PREEMPTED} was not answered by Google's metadata server: it has no Metadata-Flavor`,
      );
    switch (answer.body.trim()) {
      case "TRUE":
        return { source: "gcp", event: "preempted", detail: "", endsInMs: NOTICE_MS };
      case "FALSE":
        this.#etag = answer.header("etag");
        return undefined;
      default:
        throw unexpected(PREEMPTED, answer);
    }
  }
}

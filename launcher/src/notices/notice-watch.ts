/** Watches for notices of the cloud that it takes this machine away. */
import type { Clock } from "../clock.ts";
import { AwsNotices } from "./aws-notices.ts";
import { AzureNotices } from "./azure-notices.ts";
import { GcpNotices } from "./gcp-notices.ts";
import { MetadataEndpoint } from "./metadata-endpoint.ts";
import type { NoticeListener, NoticeSettings, NoticeSource } from "./notice.ts";

/** Longest pause while the endpoint does not answer, milliseconds: the pause doubles up to it. */
const LONGEST_PAUSE_MS = 30_000;

/** Asks the metadata endpoint until it is stopped or the machine ends. */
export class NoticeWatch {
  readonly #source: NoticeSource;
  readonly #clock: Clock;
  readonly #listener: NoticeListener;
  readonly #stopping = new AbortController();
  readonly #first = Promise.withResolvers<void>();

  constructor(source: NoticeSource, clock: Clock, listener: NoticeListener) {
    this.#source = source;
    this.#clock = clock;
    this.#listener = listener;
    void this.#run();
  }

  /** Watches the endpoint of a cloud. */
  static of({ cloud, address }: NoticeSettings, clock: Clock, listener: NoticeListener): NoticeWatch {
    const endpoint = new MetadataEndpoint(address, clock);
    const now = () => clock.now();
    switch (cloud) {
      case "aws":
        return new NoticeWatch(new AwsNotices(endpoint, now), clock, listener);
      case "gcp":
        return new NoticeWatch(new GcpNotices(endpoint), clock, listener);
      case "azure":
        return new NoticeWatch(new AzureNotices(endpoint, now), clock, listener);
      default:
        return cloud satisfies never;
    }
  }

  /** Resolves when the endpoint was asked once, with whatever success. */
  get asked(): Promise<void> {
    return this.#first.promise;
  }

  stop(): void {
    this.#stopping.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    let last = "";
    let failures = 0;
    while (!signal.aborted) {
      try {
        const notice = await this.#source.ask(signal);
        if (signal.aborted) break;
        if (failures > 0) this.#listener.reachable();
        failures = 0;
        const { endsInMs, ...rest } = notice ?? { endsInMs: undefined };
        const text = JSON.stringify(rest);
        if (notice && text !== last) this.#listener.notice(notice);
        last = text;
        if (endsInMs !== undefined) break;
      } catch (error) {
        if (signal.aborted) break;
        failures++;
        if (failures === 1)
          this.#listener.unreachable(error instanceof Error ? error.message : String(error));
      }
      this.#first.resolve();
      const pauseMs = this.#source.pauseMs * 2 ** Math.min(failures, 10);
      await this.#clock.sleep(
        failures === 0 ? this.#source.pauseMs : Math.min(LONGEST_PAUSE_MS, pauseMs),
        signal,
      );
    }
    this.#first.resolve();
  }
}

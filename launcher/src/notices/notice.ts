/** What a cloud says of the end of its machine, and who asks it. */

/** Clouds whose metadata endpoints are known. */
export const CLOUDS = ["aws", "gcp", "azure"] as const;

/** One of `CLOUDS`. */
export type Cloud = (typeof CLOUDS)[number];

/** Where notices are read. */
export interface NoticeSettings {
  readonly cloud: Cloud;
  /** `http://HOST:PORT` of the metadata endpoint. */
  readonly address: URL;
}

/** A notice of a cloud. */
export interface Notice {
  readonly source: Cloud;
  /** The cloud's word for what happens. */
  readonly event: string;
  readonly detail: string;
  /** From its receipt to the end of the machine, milliseconds; undefined for an advice. */
  readonly endsInMs: number | undefined;
}

/** Asks one metadata endpoint. */
export interface NoticeSource {
  /** From the end of one call of `ask` to the next, milliseconds. */
  readonly pauseMs: number;
  /**
   * Asks once; may wait for a change, for a bounded time. Resolves with undefined when there is no notice.
   *
   * @throws MetadataError when the endpoint does not answer as the cloud documents it.
   */
  ask(signal: AbortSignal): Promise<Notice | undefined>;
}

/** Callbacks of the watch for notices. */
export interface NoticeListener {
  /** A notice that differs from the one before. After one that ends the machine there is no further one. */
  notice(notice: Notice): void;
  /** The endpoint does not answer as it should, for the first time since it did; it is asked again. */
  unreachable(message: string): void;
  /** It answers again. */
  reachable(): void;
}

/** Delivers a fatal report: by the connection's thread, or without it when that has ended or hangs. */
import { messageOf } from "../attempt/failure/classify.ts";
import type { LastReport } from "../link/connection/fatal-dial.ts";
import type { Link } from "../link/link.ts";
import type { Logger } from "../logging/logger.ts";
import type { describeFatal } from "./fatal-report.ts";
import type { linkData } from "./link-data.ts";

/**
 * Longest time that a fatal report delays the end of the process: a new dial on a busy machine takes a second or two.
 */
const FATAL_FLUSH_MS = 3000;

/** Sends what ended a worker, once. */
export class FatalDelivery {
  readonly #log: Logger;
  readonly #link: Pick<Link, "sendFatal">;
  readonly #linkData: ReturnType<typeof linkData>;

  constructor(parts: { log: Logger; link: Pick<Link, "sendFatal">; linkData: ReturnType<typeof linkData> }) {
    this.#log = parts.log;
    this.#link = parts.link;
    this.#linkData = parts.linkData;
  }

  /** Blocks until the connection's thread has sent it, up to 3 s. */
  send(fatal: ReturnType<typeof describeFatal>): void {
    if (!this.#link.sendFatal(fatal, FATAL_FLUSH_MS)) this.#logUnsent();
  }

  /** Loads a gRPC client for this thread only now: it is 170 modules, and the link's thread has its own. */
  async sendWithoutLink(report: LastReport): Promise<void> {
    try {
      const { dialFatal } = await import("../link/connection/fatal-dial.ts");
      if (!(await dialFatal(this.#linkData, report, FATAL_FLUSH_MS))) this.#logUnsent();
    } catch (error) {
      const fields = { event: "worker.fatal.unsent", error: messageOf(error) };
      this.#log.warn(fields, "the report could not be sent to the scheduler");
    }
  }

  #logUnsent(): void {
    const fields = { event: "worker.fatal.unsent" };
    this.#log.warn(fields, `the scheduler did not take the report within ${FATAL_FLUSH_MS} ms`);
  }
}

/** Passes the lines of attempts to the link, a few at a time. */
import type { Clock } from "../clock.ts";
import type { Link } from "../link/link.ts";
import type { TaskLogSettings } from "../options/task-log-options.ts";
import { AttemptLog, type LineSink, type LogLineMessage } from "./attempt-log.ts";

/** Least time between two posts to the link's thread: one costs some 10 µs. */
const POST_EVERY_MS = 20;

/** Bytes that are posted without waiting. */
const POST_BYTES = 64 * 1024;

/** Passes on what handlers log. The first line of a while leaves at once, so that it is sent also when the handler blocks. */
export class TaskLogs implements LineSink {
  readonly settings: TaskLogSettings;
  readonly #clock: Clock;
  readonly #link: Pick<Link, "send" | "flush">;
  readonly #pending = new Map<string, LogLineMessage[]>();
  #bytes = 0;
  #postedAtMs = Number.NEGATIVE_INFINITY;
  #cancelPost: (() => void) | undefined;

  constructor(settings: TaskLogSettings, clock: Clock, link: Pick<Link, "send" | "flush">) {
    this.settings = settings;
    this.#clock = clock;
    this.#link = link;
  }

  /** The log of an attempt. */
  open(attemptId: string): AttemptLog {
    return new AttemptLog(attemptId, this);
  }

  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  add(attemptId: string, line: LogLineMessage, bytes: number): void {
    const lines = this.#pending.get(attemptId);
    if (lines === undefined) this.#pending.set(attemptId, [line]);
    else lines.push(line);
    this.#bytes += bytes;
    const waitMs = this.#postedAtMs + POST_EVERY_MS - this.#clock.monotonicMs();
    if (waitMs <= 0 || this.#bytes >= POST_BYTES) this.#post();
    else this.#cancelPost ??= this.#clock.after(waitMs, () => this.#post());
  }

  end(attemptId: string, endSequence: number, dropped: number): void {
    const lines = this.#pending.get(attemptId) ?? [];
    this.#pending.delete(attemptId);
    // Posted with the result, which follows.
    this.#link.send({ kind: "logs", attemptId, lines, endSequence, dropped });
  }

  /** Posts what is pending. */
  stop(): void {
    this.#post();
  }

  #post(): void {
    this.#cancelPost?.();
    this.#cancelPost = undefined;
    this.#bytes = 0;
    if (this.#pending.size === 0) return;
    this.#postedAtMs = this.#clock.monotonicMs();
    for (const [attemptId, lines] of this.#pending)
      this.#link.send({ kind: "logs", attemptId, lines, endSequence: undefined, dropped: 0 });
    this.#pending.clear();
    this.#link.flush();
  }
}

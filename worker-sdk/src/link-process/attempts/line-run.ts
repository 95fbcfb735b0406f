/** One attempt whose handler is in the worker's process: reports come and requests go as lines. */
import { rmSync, writeFileSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import type { Attempt } from "../../attempt/attempt.ts";
import { decodePayload, outcomeOfStop, outcomeOfThrow, refusal } from "../../attempt/execute.ts";
import { messageOf } from "../../attempt/failure/classify.ts";
import { DEFAULT_GRACE_MS } from "../../attempt/stop.ts";
import type { Clock } from "../../clock.ts";
import type { Outcome } from "../../link/outcome.ts";
import { taskLine } from "../lines/task-line.ts";
import type { AttemptLine } from "../lines/worker-line.ts";
import { isDescendant, killFamily } from "../process/process-family.ts";
import type { LineFiles } from "./line-files.ts";
import { outcomeOfLine } from "./line-outcome.ts";
import { LinePhases } from "./line-phases.ts";
import { LineRequests } from "./line-requests.ts";

/** Time for the result after the process of an attempt was killed. */
const AFTER_KILL_MS = 5_000;

/** Causes of a `cancel` line, by why the attempt is to stop. */
const CAUSES = {
  cancelled: "cancelled",
  timedOut: "timed_out",
  revoked: "revoked",
  drain: "drain",
  exceeded: "limit",
} as const;

/** What a run uses of its worker. */
export interface LineRunParts {
  readonly clock: Clock;
  readonly files: LineFiles;
  readonly inlineBytes: number;
  readonly workerPid: number;
  /** Writes a line. */
  write(text: string): void;
  /** Kills the process of the worker; undefined where the worker does not allow it. */
  readonly kill: ((why: string) => void) | undefined;
}

/** Runs one attempt. */
export class LineRun {
  readonly #attempt: Attempt;
  readonly #parts: LineRunParts;
  readonly #outcome = Promise.withResolvers<Outcome>();
  readonly #phases: LinePhases;
  readonly #requests: LineRequests;
  readonly #maxResultBytes: number;
  readonly #spilled: string[] = [];
  #pid: number | undefined;
  #cancelKill: () => void = () => undefined;
  #settling: Promise<void> | undefined;
  #ended = false;

  constructor(attempt: Attempt, maxResultBytes: number, parts: LineRunParts) {
    this.#attempt = attempt;
    this.#maxResultBytes = maxResultBytes;
    this.#parts = parts;
    this.#phases = new LinePhases(attempt);
    this.#requests = new LineRequests((line) => parts.write(JSON.stringify(line)));
  }

  /** Runs it to its outcome. Never rejects. */
  async run(): Promise<Outcome> {
    const attempt = this.#attempt;
    const { fault, value } = decodePayload(attempt);
    if (fault !== undefined) return refusal("INVALID_PAYLOAD", fault);
    attempt.parsed = value;
    const stop = (): void => this.#stop();
    try {
      this.#write();
      if (attempt.signal.aborted) stop();
      else attempt.signal.addEventListener("abort", stop, { once: true });
      return await this.#outcome.promise;
    } catch (error) {
      return refusal(
        "LINK_FILE_ERROR",
        `The input could not be put into a file for the worker: ${messageOf(error)}`,
      );
    } finally {
      this.#ended = true;
      attempt.signal.removeEventListener("abort", stop);
      this.#cancelKill();
      for (const path of this.#spilled) rmSync(path, { force: true });
    }
  }

  /** Takes a report. @throws Error of one sentence for one that cannot be taken. */
  receive(line: AttemptLine): void {
    if (this.#ended) return;
    // The end of a phase takes a turn; what follows it waits, so that events stay in order.
    if (this.#settling === undefined) this.#take(line);
    else
      this.#settling = this.#settling.then(() => {
        if (!this.#ended) this.#take(line);
      });
  }

  /** Ends it without the worker. */
  end(outcome: Outcome): void {
    this.#outcome.resolve(outcome);
  }

  /** The outcome where its process has ended: what it was to stop for comes first. */
  endBy(outcome: Outcome): void {
    const attempt = this.#attempt;
    if (attempt.stop === undefined || outcome.kind !== "failed")
      return this.end(outcomeOfStop(attempt) ?? outcome);
    this.end(outcomeOfStop(attempt) ?? outcomeOfThrow(attempt, new Error(outcome.message), undefined));
  }

  #take(line: AttemptLine): void {
    const attempt = this.#attempt;
    switch (line.kind) {
      case "start":
        this.#started(line.pid);
        return;
      case "phase_start":
        this.#phases.start(line);
        return;
      case "phase_end":
        this.#settle(this.#phases.end(line.name, line.failed));
        return;
      case "progress": {
        const { fraction, done = 0, total, unit, message } = line;
        if (fraction !== undefined) attempt.progress(fraction, message);
        else
          attempt.progress({
            done,
            ...(total === undefined ? {} : { total }),
            ...(unit === undefined ? {} : { unit }),
            ...(message === undefined ? {} : { message }),
          });
        return;
      }
      case "output":
        attempt.output(line.data);
        return;
      case "log":
        attempt.log[line.level](line.fields, line.message);
        return;
      case "warning":
        attempt.warn(line);
        return;
      case "expect":
        attempt.expect({ quietForS: line.quietForS, reason: line.reason });
        return;
      case "metric":
        attempt.metric(line.name, line.amount);
        return;
      case "fact":
        attempt.fact(line.name, line.value);
        return;
      case "checkpoint":
        this.#requests.answer(line.request, async () => {
          const { value } = line;
          // Checkpoints are small: at most 256 KiB.
          if (value.form === "json") await attempt.checkpoint(JSON.parse(value.text));
          else
            await attempt.checkpoint(
              value.form === "bytes" ? value.bytes : this.#parts.files.read(value.path),
            );
          return {};
        });
        return;
      case "scratch":
        this.#requests.answer(line.request, async () => ({ path: await attempt.scratch() }));
        return;
      case "artifact":
        this.#requests.answer(line.request, async () => ({
          artifact: await attempt.artifact(
            line.name,
            ({ path }) => copyFile(line.file, path),
            line.contentType === undefined ? {} : { contentType: line.contentType },
          ),
        }));
        return;
      case "result":
        this.end(this.#outcomeOf(line));
        return;
      default:
        line satisfies never;
    }
  }

  #outcomeOf(line: Extract<AttemptLine, { kind: "result" }>): Outcome {
    const { files } = this.#parts;
    try {
      return outcomeOfLine(this.#attempt, line, this.#maxResultBytes, (path) => files.take(path));
    } catch (error) {
      return refusal("INVALID_RESULT", `The result's file cannot be read: ${messageOf(error)}`);
    }
  }

  #write(): void {
    const { files, inlineBytes, write } = this.#parts;
    const spill = (value: string | Uint8Array): string => {
      const path = join(files.folder, files.nextName());
      writeFileSync(path, value, { mode: 0o600, flag: "wx" });
      this.#spilled.push(path);
      return path;
    };
    write(taskLine(this.#attempt.assignment, inlineBytes, spill));
  }

  #started(pid: number | undefined): void {
    if (pid === undefined) return;
    if (!isDescendant(pid, this.#parts.workerPid))
      throw new Error(`start: process ${pid} is none that the worker has started`);
    this.#pid = pid;
  }

  #settle(done: Promise<void>): void {
    const settling = done.finally(() => {
      if (this.#settling === settling) this.#settling = undefined;
    });
    this.#settling = settling;
  }

  #stop(): void {
    const { stop, id } = this.#attempt;
    if (stop === undefined || this.#ended) return;
    const graceMs = stop.graceMs ?? DEFAULT_GRACE_MS;
    this.#parts.write(
      JSON.stringify({
        kind: "cancel",
        attempt: id,
        reason: stop.reason.message,
        cause: CAUSES[stop.kind],
        grace_s: graceMs / 1_000,
      }),
    );
    this.#cancelKill = this.#parts.clock.after(graceMs, () => this.#kill(graceMs));
  }

  /** The grace is over. */
  #kill(graceMs: number): void {
    const { stop, ownLog } = this.#attempt;
    const { kill, clock } = this.#parts;
    const why = `it did not stop within ${graceMs / 1_000} s`;
    if (this.#pid !== undefined) {
      ownLog.warn({ event: "task.link.killed", pid: this.#pid }, `the attempt's process is killed: ${why}`);
      killFamily(this.#pid);
      const message = `The attempt's process was killed: ${why}.`;
      this.#cancelKill = clock.after(AFTER_KILL_MS, () =>
        this.endBy({ kind: "failed", failureClass: "retryable", code: "KILLED", message, traceback: "" }),
      );
    } else if (stop?.kind === "timedOut" && kill !== undefined) {
      ownLog.warn({ event: "task.link.killed", pid: this.#parts.workerPid }, `the worker is killed: ${why}`);
      kill(why);
    }
  }
}

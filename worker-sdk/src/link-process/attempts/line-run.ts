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
  /** Reports a line that could not be taken after a wait. */
  refused(message: string): void;
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
  readonly #queue: AttemptLine[] = [];
  #isSettling = false;
  #ended = false;

  constructor(attempt: Attempt, maxResultBytes: number, parts: LineRunParts) {
    this.#attempt = attempt;
    this.#maxResultBytes = maxResultBytes;
    this.#parts = parts;
    this.#phases = new LinePhases(attempt, parts.refused);
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
      return {
        kind: "failed",
        failureClass: "retryable",
        code: "LINK_FILE_ERROR",
        message: `The input could not be put into a file for the worker: ${messageOf(error)}`,
        traceback: "",
      };
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
    if (this.#isSettling) this.#queue.push(line);
    else {
      const settled = this.#take(line);
      if (settled !== undefined) void this.#settle(settled);
    }
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

  /** @returns What the next line has to wait for. */
  #take(line: AttemptLine): Promise<void> | undefined {
    const attempt = this.#attempt;
    switch (line.kind) {
      case "start":
        this.#started(line.pid);
        return undefined;
      case "phase_start":
        this.#phases.start(line);
        return undefined;
      case "phase_end":
        return this.#phases.end(line.name, line.failed);
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
        return undefined;
      }
      case "output":
        attempt.output(line.data);
        return undefined;
      case "log":
        attempt.log[line.level](line.fields, line.message);
        return undefined;
      case "warning":
        attempt.warn(line);
        return undefined;
      case "expect":
        attempt.expect({ quietForS: line.quietForS, reason: line.reason });
        return undefined;
      case "metric":
        attempt.metric(line.name, line.amount);
        return undefined;
      case "fact":
        attempt.fact(line.name, line.value);
        return undefined;
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
        return undefined;
      case "scratch":
        this.#requests.answer(line.request, async () => ({ path: await attempt.scratch() }));
        return undefined;
      case "artifact":
        this.#requests.answer(line.request, async () => ({
          artifact: await attempt.artifact(
            line.name,
            ({ path }) => copyFile(line.file, path),
            line.contentType === undefined ? {} : { contentType: line.contentType },
          ),
        }));
        return undefined;
      case "result":
        this.end(this.#outcomeOf(line));
        return undefined;
      default:
        return line satisfies never;
    }
  }

  #outcomeOf(line: Extract<AttemptLine, { kind: "result" }>): Outcome {
    const { files } = this.#parts;
    try {
      return outcomeOfLine(this.#attempt, line, this.#maxResultBytes, files);
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

  /** The end of a phase takes a turn; what follows it waits, so that events stay in order. */
  async #settle(settled: Promise<void>): Promise<void> {
    this.#isSettling = true;
    await settled;
    for (let line = this.#queue.shift(); line !== undefined && !this.#ended; line = this.#queue.shift()) {
      try {
        await this.#take(line);
      } catch (error) {
        this.#parts.refused(messageOf(error));
      }
    }
    this.#isSettling = false;
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

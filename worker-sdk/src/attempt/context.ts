/** The context that a handler gets. */
import type { Artifact, ArtifactOptions, ArtifactWriter } from "../artifacts/artifact.ts";
import type { EarlierProgress } from "../link/assignment.ts";
import type { TaskLog } from "../logging/logger.ts";
import type { RunChild, SubmitChild } from "./children/child-options.ts";
import type { Expectation } from "./phases/expectation.ts";
import type { PhaseOptions, RunningPhase } from "./phases/phase-options.ts";
import type { ProgressCount } from "./reports/progress-count.ts";
import type { StepOptions } from "./reports/step-options.ts";
import type { ReleasedSlot } from "./slots/released-slot.ts";

export type { EarlierProgress, Expectation };

/** A secondary step that failed although the task itself succeeded. */
export interface TaskWarning {
  /** Name of the step, for example `upload_thumbnail`. */
  readonly step: string;
  /** Stable code, `[A-Z][A-Z0-9_]{0,63}`. */
  readonly code: string;
  /** One sentence without secrets: operators see it. */
  readonly message: string;
}

/**
 * What a handler is called with.
 *
 * @example
 * ```ts
 * const handler = async (ctx: TaskContext<{ url: string }>) => {
 *   const page = await ctx.phase("download", () => fetch(ctx.payload.url, { signal: ctx.signal }));
 *   ctx.progress(0.5, "downloaded");
 *   return { text: await page.text() };
 * };
 * ```
 */
export interface TaskContext<Payload = unknown, Services = unknown, TaskServices = unknown> {
  /** The input: parsed JSON, as the schema returned it where there is one; bytes for any other media type. */
  readonly payload: Payload;
  /** What the worker's `lifespan` returned; undefined without one. */
  readonly services: Services;
  /** What `taskLifespan` returned for this attempt; undefined without one. */
  readonly taskServices: TaskServices;
  /** The input as bytes, unparsed. */
  readonly rawPayload: Uint8Array;
  /** Media type of the input. */
  readonly contentType: string;
  /** Headers of the submit. */
  readonly headers: Readonly<Record<string, string>>;
  /** The task: its id (`t-1042`), type and queue. */
  readonly task: {
    readonly id: string;
    readonly type: string;
    readonly queue: string;
    /** What it takes of the worker's capacities, by name, `slots` among them. A retry policy may have raised it. */
    readonly cost: Readonly<Record<string, number>>;
  };
  /**
   * The schedule that submitted the task: its name, the tick without jitter, and whether it was run on request; undefined
   * when a producer submitted it. Work for a period of time goes by the tick, not by the clock: a tick may run late.
   */
  readonly schedule: { readonly name: string; readonly tickTime: Date; readonly manual: boolean } | undefined;
  /** The attempt: its id (`t-1042.3`), its number from 1, and how many the retry policy allows in all. */
  readonly attempt: { readonly id: string; readonly number: number; readonly max: number };
  /**
   * Aborts when the handler has to stop. Its reason is a CancelledError, TimedOutError, RevokedError or DrainError; the
   * handler should throw it (`ctx.signal.throwIfAborted()`).
   */
  readonly signal: AbortSignal;
  /**
   * Logger whose lines carry the ids of the attempt: `ctx.log.info({ page: 3 }, "page read")` or
   * `ctx.log.info("ready")`. Its lines are also kept with the attempt, for `muster logs`; see `taskLogs` of the worker.
   */
  readonly log: TaskLog;
  /**
   * Reports progress: a share from 0 to 1, or a count. From counts follow the rate and the time left that are shown. It may be
   * called often: a report is sent when the share has moved by 1 %, else after 500 ms, at most ten a second; the latest one
   * always is. Progress does not go backwards: a lower share, or a lower count with the same total and unit, counts as the highest
   * one so far, until a phase begins or ends.
   *
   * @throws RangeError when the share or the count is out of range.
   * @throws TypeError when it is neither, the unit does not match, or the message is not a text.
   */
  progress(howFar: number | ProgressCount, message?: string): void;
  /**
   * The last progress of earlier attempts: `fraction`, or `done`, `total` and `unit`, and `message`, as they were reported;
   * undefined when there was none. What was done then need not count now: `resumeFrom` has what the handler stored.
   */
  readonly earlierProgress: EarlierProgress | undefined;
  /**
   * What an earlier attempt of the task stored last with `checkpoint`, parsed from JSON, or bytes; undefined when none did. It
   * does not change while the handler runs.
   */
  readonly resumeFrom: unknown;
  /**
   * Stores how far the handler is: the next attempt of the task finds the value in `resumeFrom`, whatever ended this one.
   *
   * ```ts
   * for (let page = Number(ctx.resumeFrom ?? 0); page < pages; page++) {
   *   await read(page);
   *   await ctx.checkpoint(page + 1);
   * }
   * ```
   *
   * The promise resolves when the value, or a later one of this attempt, is in the database. A handler that does not wait may
   * call it often: while one is on its way, of later ones the latest is kept.
   *
   * @param value JSON or bytes, at most 256 KiB (262,144 bytes): larger data belongs elsewhere, and its place here.
   * @throws TypeError when it has no JSON form, RangeError when it is too large.
   * @throws CheckpointError (the promise rejects) when it was not stored: the attempt is no longer this worker's or has ended, or
   * the scheduler refused it. While the scheduler or its database is away the promise waits.
   */
  checkpoint(value: unknown): Promise<void>;
  /** Iterations that the task has begun, earlier attempts included, up to the last report that was stored. */
  readonly iterations: number;
  /** Iterations that all attempts of the task may begin together (`maxIterations`); undefined without a budget. */
  readonly maxIterations: number | undefined;
  /**
   * Counts an iteration of the task that begins, from 1, in all attempts together. The highest one is kept across attempts
   * and processes: another attempt goes on after it.
   *
   * ```ts
   * for (let n = ctx.iterations + 1; !done; n++) {
   *   ctx.iteration(n);
   *   done = await step(n, { signal: ctx.signal });
   * }
   * ```
   *
   * It may be called often: at most ten counts a second are sent, and the latest one always is. A number that is not
   * higher than `iterations` changes nothing.
   *
   * @throws BudgetExhaustedError when the iteration is beyond `maxIterations`: the task ends as failed with
   * `BUDGET_EXHAUSTED`, and `ctx.signal` aborts.
   * @throws RangeError when it is not an integer from 1 to 1,000,000,000.
   */
  iteration(number: number): void;
  /**
   * Runs `fn` as a named phase: its start and end are reported and timed, and while it lasts longer than its
   * threshold it is reported as stuck. Returns what `fn` returns, throws what it throws. `fn` gets the phase, which it may give
   * more time.
   *
   * @param name `[a-z][a-z0-9_]{0,63}`, for example `model_load`.
   * @throws TypeError when the name does not match.
   * @throws RangeError when `warnAfterS` or `timeoutS` is not a number of seconds, or the function of a declaration throws or returns none.
   */
  phase<T>(name: string, fn: (phase: RunningPhase) => T | Promise<T>, options?: PhaseOptions): Promise<T>;
  /**
   * Says that the handler will show neither progress nor another phase for a while, for example while it compiles or downloads
   * without a sign: until then the attempt is not called stuck, whatever its thresholds, and `muster why` says why it is silent and
   * until when. The next progress, iteration, checkpoint, step or phase ends the expectation, and thresholds count anew from then;
   * a later call takes its place. When its time is over and nothing came, the attempt is stuck as soon as its threshold is over, too.
   *
   * It changes no hard timeout.
   *
   * ```ts
   * ctx.expect({ quietForS: 1800, reason: "compiles the shaders" });
   * await compile(ctx.signal);
   * ```
   *
   * @throws RangeError when `quietForS` is not above 0 and up to 604,800 (7 days), TypeError when the reason is no text.
   */
  expect(expectation: Expectation): void;
  /**
   * Returns the path of a folder for this attempt, made at the first call. It is removed after the attempt, and kept after a
   * failure: its path and size are in the log (`task.scratch.kept`). The option `scratch` says where it is, how long it is
   * kept, and how large it may be.
   *
   * @throws what the file system throws (`ENOSPC`, ...), RetryableError `SCRATCH_FOLDER_REFUSED` when the parent is not
   * this account's own, Error when the attempt has ended.
   */
  scratch(): Promise<string>;
  /**
   * Stores an output of the task under a name, once: when an earlier attempt has stored a valid one, `write` is not called
   * (event `task.artifact.skipped`). The content is written to a temporary file, validated, flushed to the disk, and appears
   * under its name whole or not at all. Of several attempts at once the first one wins, and all of them return its artifact.
   *
   * The option `artifacts` of the worker, or `WORKER_ARTIFACT_DIR`, says where. What it returns may be part of the result.
   *
   * @param name A relative path, for example `pages/3.png`: at most 512 bytes of UTF-8; no part of it is empty, begins with a
   * dot, ends with a dot or a space, or has a backslash, a colon or a control character.
   * @param write Writes the file at `draft.path`, or returns the content.
   * @throws NonRetryableError `ARTIFACT_NAME_REFUSED`, `ARTIFACT_STORE_MISSING`, `ARTIFACT_INVALID` (it is written in two ways,
   * or not a regular file).
   * @throws RetryableError `ARTIFACT_INVALID` when it is empty, has another checksum, or `validate` throws.
   * @throws the reason of `ctx.signal` when the handler has to stop; what `write`, the file system (`ENOSPC`, ...) and the
   * store (StoreError) throw.
   *
   * @example
   * ```ts
   * const thumb = await ctx.artifact("thumb.png", () => sharp(image).resize(320).png().toBuffer());
   * const clip = await ctx.artifact("clip.mp4", ({ path, signal }) => run("ffmpeg", ["-i", url, path], { signal }));
   * return { thumb, clip };
   * ```
   */
  artifact(name: string, write: ArtifactWriter, options?: ArtifactOptions): Promise<Artifact>;
  /**
   * Streams a piece of output ahead of the result; text is sent as UTF-8. When the connection is slow, the oldest
   * pieces beyond 64 MiB are dropped.
   *
   * @throws TypeError when the chunk is neither a text nor a Uint8Array.
   */
  output(chunk: string | Uint8Array): void;
  /**
   * Pauses a rate limit key for all tasks, on all workers: none of them with the key is assigned until then. For an API
   * that answered with 429, for example:
   *
   * ```ts
   * await ctx.pauseKey("example-api", Number(response.headers.get("retry-after")), "HTTP 429");
   * ```
   *
   * Tasks that run continue. Of several pauses the one that ends last counts. The promise resolves with the end of the
   * pause that is in force, when the database has stored it: from then on no task with the key is assigned. A handler
   * need not wait for it.
   *
   * @param key Key of a rate limit (`rateLimits`), of this task or of others.
   * @param until When the pause ends, or its length in seconds; at most 7 days from now.
   * @param reason One sentence without secrets: operators see it.
   * @throws TypeError, RangeError when an argument is not valid.
   * @throws KeyPauseError (the promise rejects) when it was not stored: no task ever had the key, the attempt is no longer
   * this worker's, or the scheduler's database is unavailable.
   */
  pauseKey(key: string, until: Date | number, reason: string): Promise<Date>;
  /**
   * Runs `fn` as a named step, once for the task: when it has ended, its result is kept, and later attempts get that result
   * and do not call `fn` again. A result is JSON of at most 16 KiB, and every attempt gets it in that form; a task has at most
   * 32 steps, which take at most 64 KiB together. A step is also a phase of the same name.
   *
   * A step runs at least once: again when it failed, was asked to stop, or its worker died before the scheduler had stored
   * its end. What it does outside must bear that.
   *
   * ```ts
   * const { branch } = await ctx.step("write_code", () => agent.run(ctx.payload));
   * await ctx.step("create_pr", () => github.open(branch), { optional: true, retry: { count: 2, delayS: 10 } });
   * ```
   *
   * @param name `[a-z][a-z0-9_]{0,63}`, another one for each step of the task.
   * @returns What `fn` returned; undefined when an optional step failed.
   * @throws what `fn` throws, when the step is not optional.
   * @throws NonRetryableError `STEP_RESULT_INVALID` when the result is not JSON or is too large, `TOO_MANY_STEPS`.
   * @throws TypeError, RangeError when an argument is not valid, or the name was used in this attempt.
   */
  step<T>(
    name: string,
    fn: () => T | Promise<T>,
    options: StepOptions & { readonly optional: true },
  ): Promise<T | undefined>;
  /** As above, of a step that the task cannot succeed without. */
  step<T>(name: string, fn: () => T | Promise<T>, options?: StepOptions): Promise<T>;
  /**
   * Adds to a sum of this attempt, for example of tokens. It is kept with the attempt, whatever becomes of that, and summed by
   * queue and type: `muster task`, `muster stats`, and `muster_task_metric_total` of the scheduler. An attempt that is tried
   * again has sums of its own.
   *
   * ```ts
   * ctx.metric("tokens_in", response.usage.input_tokens);
   * ```
   *
   * It never throws, because a measurement must not fail the work: what is refused is logged (`task.measure.refused`). It may be
   * called often: the sums are sent once a second, and before the result.
   *
   * @param name `[a-z][a-z0-9_]{0,63}`; at most 32 names an attempt.
   * @param amount A number from 0, fractions too; a sum is at most 2^53 - 1. Negative amounts, NaN and Infinity are refused.
   */
  metric(name: string, amount: number): void;
  /**
   * Notes a small fact for the failure of this attempt, if it fails: `muster task`, `muster why`, `muster failures` and
   * `failure.facts` show it, also when the worker dies. The last value of a name counts.
   *
   * ```ts
   * ctx.fact("iteration", n);
   * ```
   *
   * It never throws: what is refused is logged (`task.measure.refused`).
   *
   * @param name `[a-z][a-z0-9_]{0,63}`; at most 16 names, and 1 KiB together as JSON.
   * @param value A finite number, true or false, or a text without secrets: operators see it. Longer text than 200 characters is
   * cut.
   */
  fact(name: string, value: number | string | boolean): void;
  /**
   * Submits a task as a child of this one: it has the tag `parent:ID`, and `client.children(ID)` lists it. The child is durable
   * when the promise resolves, and ends by itself, whatever becomes of its parent. The call is aborted with `ctx.signal`.
   *
   * ```ts
   * const page = await ctx.submit("ocr.page", { page: 3 }, { name: "page-3" });
   * ```
   *
   * With a `name` another attempt of this task gets the child that is there. A handler that waits for the result of a handle keeps
   * its slot meanwhile: `run` frees it.
   *
   * @throws MusterError, InvalidPayloadError, OptionsError, TypeError as `client.submit` does (the promise rejects), and Error when
   * the attempt has ended.
   */
  readonly submit: SubmitChild;
  /**
   * Runs a task as a child of this one, and returns its result. While it waits, the attempt frees its slot and everything else that
   * its task costs, so that the child may run there; it keeps its lease, its concurrency keys and its timeouts. When the child
   * has ended, the attempt takes its slot again, before any new task starts on this worker, and the promise resolves.
   *
   * ```ts
   * const pages = await Promise.all(ctx.payload.pages.map((page) => ctx.run(scan, { page })));
   * ```
   *
   * Several calls at once free the slot with the first and take it with the end of the last: they resolve together then.
   * Another attempt of this task that makes the same call gets the same child, or its result; see `name`. A child in the queue of
   * its parent goes before tasks that have not begun (`priority`), and shares with its parent (`fairness`).
   *
   * @throws TaskFailedError, TaskCancelledError when the child ended so; InvalidResultError.
   * @throws the reason of `ctx.signal`, at once and without the slot; what `submit` throws.
   */
  readonly run: RunChild;
  /**
   * Frees the slot of the attempt, and everything else that its task costs, while the handler waits for something else than a task.
   * The attempt keeps its lease, its concurrency keys and its timeouts, and takes its slot again before any new task starts.
   *
   * ```ts
   * {
   *   await using slot = await ctx.releaseSlot("the export of the billing system");
   *   await exported(id, { signal: ctx.signal });
   * }
   * ```
   *
   * @param reason What it waits for: operators see it. At most 256 characters are kept. @default none
   * @throws TypeError when the reason is no text; the reason of `ctx.signal` when the handler has to stop.
   */
  releaseSlot(reason?: string): Promise<ReleasedSlot>;
  /** Reports that a secondary step failed: the task then ends as succeeded with warnings. */
  warn(warning: TaskWarning): void;
}

/** A scheduler with workers and supervisors for the tests of faults. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "node:test";
import type { Event, Explanation, Reason, Task, Worker } from "@muster/protocol";
import { Client, MusterError } from "@muster/worker/client";
import { cleanedUp, cleanUpLater } from "../clean-up.ts";
import { createDatabase, type TestDatabase } from "../database/postgres.ts";
import { beforeKillAll, type Program } from "../programs/program.ts";
import { FAST, startTestScheduler, startTestWorker, type TestScheduler } from "../programs/scheduler.ts";
import { TruthCheck } from "../truth/check.ts";
import { until, WAIT_MS, within } from "../waits.ts";
import { assertReason, type ExpectedReason } from "./expected-reasons.ts";

/** `FAST` by the letters of the fault table, milliseconds. */
export const H = FAST.heartbeatMs;
export const L = FAST.leaseMs;
export const G = FAST.graceMs;

/** One run of a handler, as the worker noted it. */
export interface Run {
  readonly taskId: string;
  readonly attemptId: string;
  readonly workerId: string;
  /** When it began, by the machine's clock in milliseconds. */
  readonly at: number;
}

/** A scheduler on a database of its own, a client, and what tests ask of them. */
export class Fleet {
  readonly db: TestDatabase;
  readonly schedulers: TestScheduler[] = [];
  readonly client: Client;
  readonly #folder = mkdtempSync(join(tmpdir(), "muster-runs-"));
  readonly #databaseUrl: string;

  readonly #token: string | undefined;
  readonly #truth: TruthCheck;

  private constructor(db: TestDatabase, databaseUrl: string, schedulers: TestScheduler[], token?: string) {
    this.db = db;
    this.#databaseUrl = databaseUrl;
    this.schedulers.push(...schedulers);
    this.#token = token;
    this.client = new Client({
      timeoutS: WAIT_MS / 1_000,
      scheduler: schedulers.map(({ grpc }) => grpc).join(","),
      ...(token === undefined ? {} : { token }),
    });
    this.#truth = new TruthCheck({ url: db.url, token, runsFile: this.runsFile, heartbeatMs: H });
    open.add(this);
    cleanUpLater(this, () => this.stop());
  }

  /**
   * @param options.schedulers How many, on one database; 1 by default.
   * @param options.args Further flags of every scheduler.
   * @param options.token What callers must send; nothing by default.
   * @param options.env Further variables of every scheduler.
   * @param options.database One that the test made; a new one on the suite's server by default.
   * @param options.truth False where what is said is not compared with the database: its clock is set.
   * @param options.databaseUrl Where the schedulers find the database, when not at its own URL.
   */
  static async start(
    options: {
      schedulers?: number;
      args?: readonly string[];
      token?: string;
      env?: Readonly<Record<string, string>>;
      database?: TestDatabase;
      truth?: boolean;
      databaseUrl?: (url: string) => string | Promise<string>;
    } = {},
  ): Promise<Fleet> {
    const db = options.database ?? (await createDatabase());
    const url = (await options.databaseUrl?.(db.url)) ?? db.url;
    const started = Array.from({ length: options.schedulers ?? 1 }, () =>
      startTestScheduler({
        databaseUrl: url,
        args: options.args ?? [],
        env: { ...(options.token === undefined ? {} : { MUSTER_TOKEN: options.token }), ...options.env },
      }),
    );
    const fleet = new Fleet(db, url, await Promise.all(started), options.token);
    if (options.truth === false) open.delete(fleet);
    return fleet;
  }

  get scheduler(): TestScheduler {
    const [first] = this.schedulers;
    if (first === undefined) throw new Error("the fleet has no scheduler");
    return first;
  }

  /** Starts a scheduler where another one was: on the same addresses. */
  async restart(
    old: TestScheduler,
    args: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): Promise<TestScheduler> {
    const scheduler = await startTestScheduler({
      databaseUrl: this.#databaseUrl,
      args: ["--grpc-addr", old.grpc, "--http-addr", old.http.replace("http://", ""), ...args],
      env: { ...(this.#token === undefined ? {} : { MUSTER_TOKEN: this.#token }), ...env },
    });
    this.schedulers.splice(this.schedulers.indexOf(old), 1, scheduler);
    return scheduler;
  }

  /** A worker of `workers/basic.ts` that notes its runs; at the first scheduler unless told otherwise. */
  worker(
    id: string,
    options: {
      queue?: string;
      slots?: number;
      scheduler?: string;
      /** In `workers/`; `basic.ts` by default. */
      file?: string;
      env?: Readonly<Record<string, string>>;
      waitReady?: boolean;
    } = {},
  ): Promise<Program> {
    return startTestWorker({
      scheduler: options.scheduler ?? this.scheduler.grpc,
      id,
      file: options.file ?? "basic.ts",
      waitReady: options.waitReady ?? true,
      env: {
        RUNS_FILE: this.runsFile,
        QUEUES: options.queue ?? "default",
        SLOTS: String(options.slots ?? 2),
        ...(this.#token === undefined ? {} : { MUSTER_TOKEN: this.#token }),
        ...options.env,
      },
    });
  }

  /** A file that does not exist yet, for the payload `{ gate }` of handlers that wait for it. */
  gate(): Gate {
    return new Gate(join(this.#folder, `gate-${randomBytes(4).toString("hex")}`));
  }

  /** Every run of the task's handler so far, in order. */
  runs(taskId: string): Run[] {
    if (!existsSync(this.runsFile)) return [];
    return readFileSync(this.runsFile, "utf8")
      .split("\n")
      .flatMap((line) => {
        const [task, attemptId, workerId, at] = line.split(" ");
        return task === taskId && attemptId && workerId
          ? [{ taskId, attemptId, workerId, at: Number(at) }]
          : [];
      });
  }

  /** Resolves when the task's handler has been called `count` times. */
  async ran(taskId: string, count = 1): Promise<Run[]> {
    return until(`run ${count} of ${taskId}`, () => {
      const runs = this.runs(taskId);
      return runs.length >= count ? runs : undefined;
    });
  }

  /**
   * Resolves when a scheduler knows that the task's last run has started. The end of its worker then costs an attempt;
   * before, the acceptance may be lost with the worker.
   */
  async started(taskId: string, count = 1): Promise<void> {
    await this.ran(taskId, count);
    await until(`${taskId} has started`, async () => {
      const events = await this.events(taskId);
      return events.lastIndexOf("started") > events.lastIndexOf("assigned") || undefined;
    });
  }

  /** Names of the events of a task, after a check of their order. */
  async events(taskId: string): Promise<string[]> {
    const { events } = await this.client.fleet.listEvents({ taskId, pageSize: 1_000 });
    assertOrder(events);
    return events.map(({ name }) => name);
  }

  async workerEvents(workerId: string): Promise<string[]> {
    const { events } = await this.client.fleet.listEvents({ workerId, pageSize: 1_000 });
    return events.map(({ name }) => name);
  }

  /** The task as the API has it. */
  async task(taskId: string): Promise<Task> {
    const { task } = await this.client.tasks.getTask({ taskId });
    assert.ok(task);
    return task;
  }

  async workerState(workerId: string): Promise<Worker> {
    const { worker } = await this.client.fleet.getWorker({ workerId });
    assert.ok(worker);
    return worker;
  }

  /**
   * Waits until the task's explanation has the code; answers the reason and how long it took.
   *
   * @param expected What the reason must hold then.
   */
  async taskReason(
    taskId: string,
    code: string,
    boundMs: number,
    expected?: ExpectedReason,
  ): Promise<FoundReason> {
    return this.#reason(code, boundMs, expected, `task ${taskId}`, async () => {
      const { explanation } = await this.client.tasks.explainTask({ taskId });
      return explanation;
    });
  }

  /** Likewise for a worker. */
  async workerReason(
    workerId: string,
    code: string,
    boundMs: number,
    expected?: ExpectedReason,
  ): Promise<FoundReason> {
    return this.#reason(code, boundMs, expected, `worker ${workerId}`, async () => {
      try {
        return (await this.client.fleet.explainWorker({ workerId })).explanation;
      } catch (error) {
        // It is heard of within the bound.
        if (error instanceof MusterError && error.reason === "WORKER_NOT_FOUND") return undefined;
        throw error;
      }
    });
  }

  async #reason(
    code: string,
    boundMs: number,
    expected: ExpectedReason | undefined,
    subject: string,
    read: Parameters<typeof waitForReason>[4],
  ): Promise<FoundReason> {
    const reported = await waitForReason(code, boundMs, hasBeginning(expected), subject, read);
    if (expected) assertReason(reported.reason, expected);
    return reported;
  }

  /** Waits for the task's event; answers how long it took. */
  async eventually(taskId: string, name: string, boundMs = WAIT_MS): Promise<number> {
    const { afterMs } = await within(`event ${name} of ${taskId}`, boundMs, async () =>
      (await this.events(taskId)).includes(name) ? true : undefined,
    );
    return afterMs;
  }

  /**
   * Fails when anything that a scheduler says contradicts the database or the processes. Runs after every test of
   * itself; a test calls it where what it has made will not last until its end.
   */
  truth(): Promise<void> {
    return this.#truth.look(this.schedulers);
  }

  /** Drops the client and the database; call `killAll` before. */
  async stop(): Promise<void> {
    open.delete(this);
    cleanedUp(this);
    this.client.close();
    await this.#truth.close();
    await this.db.drop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Where workers note their runs. */
  get runsFile(): string {
    return join(this.#folder, "runs");
  }
}

/** Fleets that tests have started and not stopped. */
const open = new Set<Fleet>();

/** True once what the test under way has left was looked at. */
let looked = false;

async function lookAtAll(): Promise<void> {
  if (looked) return;
  looked = true;
  for (const fleet of open) await fleet.truth();
}

beforeEach(() => {
  looked = false;
});

// A test's own hooks come first, and some of them end what there is to look at.
beforeKillAll(lookAtAll);
afterEach(async (context) => {
  // What a failed test has left proves nothing.
  if (!("passed" in context && context.passed === false)) await lookAtAll();
});

/** Holds handlers until the test opens it. */
export class Gate {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  open(): void {
    writeFileSync(this.path, "");
  }
}

/** A reason that was waited for. */
export interface FoundReason {
  readonly reason: Reason;
  readonly explanation: Explanation;
  readonly afterMs: number;
}

async function waitForReason(
  code: string,
  boundMs: number,
  withSince: boolean,
  subject: string,
  explain: () => Promise<Explanation | undefined>,
): Promise<FoundReason> {
  const seen = new Set<string>();
  const { value, afterMs } = await within(
    `${subject} says ${code}`,
    boundMs,
    async () => {
      const explanation = await explain();
      const reason = explanation?.reasons.find((candidate) => candidate.code === code);
      for (const other of explanation?.reasons ?? []) seen.add(other.code);
      // The database may have the cause before the scheduler has met it: then no beginning is recorded yet.
      if (withSince && reason && reason.since === undefined) {
        seen.add(`${code} without since when`);
        return undefined;
      }
      return explanation && reason ? { explanation, reason } : undefined;
    },
    () => `; it said ${[...seen].join(", ")}`,
  );
  return { ...value, afterMs };
}

function hasBeginning(expected: ExpectedReason | undefined): boolean {
  return expected !== undefined && expected.since !== false;
}

const LIFE = ["assigned", "accepted", "started"];
const ENDS = new Set(["succeeded", "failed", "cancelled"]);

/** Events of one task: `created`, then each attempt from its assignment to its end, and one outcome at most. */
function assertOrder(events: readonly Event[]): void {
  const names = events.map(({ name }) => name);
  const shown = names.join(" < ");
  assert.equal(names[0], "created", shown);
  assert.ok(names.filter((name) => ENDS.has(name)).length <= 1, `more than one outcome: ${shown}`);
  let at = -1;
  let epoch = 0;
  let over = false;
  let lapsed = "";
  let time = 0;
  for (const { name, attemptId, time: stamp } of events.slice(1)) {
    assert.ok(!over, `something follows the outcome: ${shown}`);
    const rank = LIFE.indexOf(name);
    const ends = ENDS.has(name) || name.startsWith("requeued:");
    if (name === "assigned") {
      assert.equal(at, -1, `assigned before the attempt before had ended: ${shown}`);
      const next = Number(attemptId.split(".")[1]);
      assert.ok(next > epoch, `attempts not in order: ${shown}`);
      epoch = next;
    }
    // Accepted after the deadline, before the task was assigned again.
    if (name === "accepted" && at < 0 && attemptId === lapsed) at = 0;
    lapsed = name === "requeued:unaccepted" ? attemptId : name === "assigned" ? "" : lapsed;
    if (rank >= 0) {
      assert.ok(rank === 0 || at >= 0, `${name} without an assignment: ${shown}`);
      assert.ok(rank > at, `${name} out of order: ${shown}`);
      at = rank;
    }
    if (rank >= 0 || ends) {
      const millis = Number(stamp?.seconds ?? 0n) * 1_000 + (stamp?.nanos ?? 0) / 1e6;
      assert.ok(millis >= time, `${name} of ${attemptId} is dated before what it follows: ${shown}`);
      time = millis;
    }
    if (ends) at = -1;
    over = ENDS.has(name);
  }
}

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { env } from "node:process";
import { after, afterEach, before, describe, it } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { FleetService, TaskService, TaskState } from "@muster/protocol";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { RawCaller } from "../support/peers/raw-call.ts";
import { cutAll } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, startTestWorker, type TestScheduler } from "../support/programs/scheduler.ts";
import { Random, seedFrom } from "../support/random.ts";
import { PREY } from "./attacks.ts";
import { described, FuzzRun, isFault } from "./fuzz-run.ts";

/** `FUZZ_SECONDS` makes it longer, `FUZZ_SEED` repeats the attacks of a run. */
const SECONDS = Number(env.FUZZ_SECONDS ?? "12");
const SEED = seedFrom("FUZZ_SEED");
const ATTACKERS = 4;

/** Growth that a run may leave behind, bytes: caches and the heap's slack, far below a leak's. */
const MAX_GROWTH = 300 * 1024 * 1024;

/** Queue of the healthy worker: no hostile one serves it, so what is slow there is slow by the scheduler. */
const CLINIC = "clinic";

describe(`protocol: fuzzing (FUZZ_SEED=${SEED})`, () => {
  let db: TestDatabase;
  let scheduler: TestScheduler;
  let caller: RawCaller;

  before(async () => {
    db = await createDatabase();
    scheduler = await startTestScheduler({ databaseUrl: db.url, args: ["--hello-timeout", "0.5"] });
    caller = new RawCaller(scheduler.grpc);
    await startTestWorker({ scheduler: scheduler.grpc, id: "healthy", env: { SLOTS: "4", QUEUES: CLINIC } });
  });
  afterEach(() => cutAll());
  after(async () => {
    caller.close();
    await killAll();
    await db.drop();
  });

  it("neither harms the scheduler nor the work of a healthy worker", async () => {
    const { pid } = scheduler.program;
    const rssBefore = await rss(pid);
    const end = performance.now() + SECONDS * 1_000;
    const run = new FuzzRun(scheduler);
    const [work] = await Promise.allSettled([
      healthyWork(end),
      ...Array.from({ length: ATTACKERS }, (_, n) => run.attack(new Random(SEED + n), end)),
    ]);
    const { counts, faults, unanswered } = run;

    const about = `attacks: ${JSON.stringify(Object.fromEntries(counts))}`;
    assert.ok(scheduler.program.alive, `the scheduler died; ${scheduler.program.tail()}`);
    assert.equal(scheduler.program.pid, pid);
    assert.equal((await fetch(`${scheduler.http}/livez`)).status, 200);
    assert.equal((await fetch(`${scheduler.http}/readyz`)).status, 200);
    assert.deepEqual(
      [...new Set(scheduler.program.lines.filter(isFault).map(described))],
      [],
      `nothing is logged as the scheduler's fault; ${about}`,
    );
    assert.deepEqual([...new Set(faults)], [], `no answer blames the scheduler; ${about}`);
    assert.deepEqual(unanswered, [], `everything is answered; ${about}`);
    assert.equal(
      work.status,
      "fulfilled",
      `the healthy worker went on: ${work.status === "rejected" ? work.reason : ""}; ${about}`,
    );
    assert.ok(work.value > SECONDS, `it finished ${work.value} tasks; ${about}`);
    await untilOnlyTheHealthyLive();
    const growth = (await rss(pid)) - rssBefore;
    assert.ok(growth < MAX_GROWTH, `it grew by ${Math.round(growth / 1e6)} MB; ${about}`);
    assert.ok(counts.size >= 10, about);
  });

  /** Submits for the healthy worker and prey for hostile ones all the while; answers how many it finished. */
  async function healthyWork(end: number): Promise<number> {
    let finished = 0;
    while (performance.now() < end) {
      const { tasks } = await caller.call(TaskService.method.submitTasks, {
        tasks: Array.from({ length: 5 }, () => ({
          taskType: "echo",
          queue: CLINIC,
          payload: Buffer.from("{}"),
        })),
      });
      await submitPrey();
      const deadline = performance.now() + 10_000;
      for (const { taskId } of tasks) {
        for (;;) {
          const { task } = await caller.call(TaskService.method.getTask, { taskId });
          if (task?.state === TaskState.SUCCEEDED) break;
          assert.ok(
            performance.now() < deadline,
            `${taskId} is not finished: ${JSON.stringify(task?.detail)}`,
          );
        }
        finished++;
      }
    }
    return finished;
  }

  /** For hostile workers; an attack that found the settings of their queue may have limited it. */
  async function submitPrey(): Promise<void> {
    const { submitTasks } = TaskService.method;
    const request = create(submitTasks.input, {
      tasks: Array.from({ length: 3 }, () => ({ taskType: PREY, payload: Buffer.from("{}") })),
    });
    const { code, reason, details } = await caller.bytes(submitTasks, toBinary(submitTasks.input, request));
    assert.ok(code === status.OK || reason === "QUEUE_FULL", `prey is accepted: ${reason} ${details}`);
  }

  async function untilOnlyTheHealthyLive(): Promise<void> {
    const deadline = performance.now() + 15_000;
    for (;;) {
      const living = await db.query<{ worker_id: string }>(
        "select worker_id from worker_session where gone_time is null order by id",
      );
      const leases = await db.query("select 1 from session_lease");
      if (living.length === 1 && living[0]?.worker_id === "healthy" && leases.length === 1) break;
      assert.ok(performance.now() < deadline, `these sessions leak: ${JSON.stringify(living)}`);
      await db.query("select pg_sleep(0.1)");
    }
    // Whatever hostile workers reported can be shown.
    const shown = new Set<string>();
    for (let pageToken = ""; ; ) {
      const page = await caller.call(FleetService.method.listWorkers, { pageSize: 500, pageToken });
      for (const { id } of page.workers) shown.add(id);
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
    assert.ok(shown.has("healthy"));
    await caller.call(FleetService.method.listEvents, { pageSize: 1_000 });
    await caller.call(TaskService.method.listTasks, { pageSize: 1_000 });
  }
});

/** Resident memory of a process, bytes; 0 where /proc does not tell. */
async function rss(pid: number): Promise<number> {
  try {
    return Number((await readFile(`/proc/${pid}/statm`, "utf8")).split(" ")[1]) * 4_096;
  } catch {
    return 0;
  }
}

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { create, type DescMessage, type DescMethod, toBinary } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { StepState, SubmitStreamRequestSchema, TaskService, WorkerMessageSchema } from "@muster/protocol";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { RawCaller } from "../support/peers/raw-call.ts";
import { RawSubmits } from "../support/peers/raw-submits.ts";
import { cutAll, RawWorker } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, type TestScheduler } from "../support/programs/scheduler.ts";
import { CALLS, type Leaf, type LeafKind, lawful, leaves } from "./leaves.ts";

const MAX = 2n ** 63n - 1n;
const MIN = -(2n ** 63n);

/** Values without a meaning, by kind of field. */
const WRONG: Readonly<Partial<Record<LeafKind, readonly unknown[]>>> = {
  Timestamp: [
    { seconds: 253_402_300_800n },
    { seconds: 316_516_464_000n },
    { seconds: -62_135_596_801n },
    { seconds: MAX, nanos: 999_999_999 },
    { seconds: MIN },
    { seconds: 1n, nanos: -1 },
    { seconds: 1n, nanos: 1_000_000_000 },
  ],
  Duration: [
    { seconds: -1n },
    { nanos: -1 },
    { seconds: MAX },
    { seconds: MIN },
    { seconds: 315_576_000_001n },
    { seconds: 1n, nanos: -1 },
    { seconds: 1n, nanos: 2_147_483_647 },
  ],
  float: [Number.NaN, Infinity, -Infinity, -1, 1e308],
  int64: [-1n, MIN, MAX],
};

/** Fields that mean nothing to the scheduler, and what others report of themselves, which is bounded and kept. */
const TAKEN = [/^request_id$/, /^startup_phases\[\]/];

/** Everything that lists or shows what may have been stored. */
const READS = [
  ...[
    "TaskService/ListTasks",
    "FleetService/ListWorkers",
    "FleetService/ListEvents",
    "FleetService/ListQueues",
  ],
  ...["FleetService/ListLaunches", "FleetService/GetOverview", "FleetService/Diagnose"],
  "ScheduleService/ListSchedules",
  "PoolService/ListPools",
];

/** Messages that end a session. */
const FAREWELLS: readonly string[] = ["draining", "goodbye"];

describe("protocol: times and numbers that cannot be said", () => {
  let db: TestDatabase;
  let scheduler: TestScheduler;
  let caller: RawCaller;

  before(async () => {
    db = await createDatabase();
    scheduler = await startTestScheduler({ databaseUrl: db.url });
    caller = new RawCaller(scheduler.grpc);
  });
  after(async () => {
    cutAll();
    caller.close();
    await killAll();
    await db.drop();
  });

  it("T15: are refused in every field of every request, by the field's name", async () => {
    const asked: string[] = [];
    for (const method of CALLS) {
      for (const { leaf, value } of wrong(method.input)) {
        const request = create(method.input, leaf.at(lawful(method.input), value));
        const what = `${method.name} ${leaf.path} ${said(value)}`;
        const answer = await ask(method, toBinary(method.input, request));
        if (TAKEN.some((taken) => taken.test(leaf.path))) {
          assert.equal(answer.code, status.OK, `${what}: ${answer.details}`);
        } else {
          assert.equal(answer.code, status.INVALID_ARGUMENT, `${what}: ${answer.details}`);
          const field = leaf.path.replaceAll("[]", "[0]").replaceAll("{}", '["key"]');
          assert.ok(answer.details.startsWith(`${field} `), `${what}: ${answer.details}`);
        }
        asked.push(leaf.path);
      }
    }
    assert.ok(new Set(asked).size >= 18, [...new Set(asked)].join(", "));
    await everythingIsShown();
  });

  it("T15: are refused on a submit stream, which goes on", async () => {
    const stream = new RawSubmits(scheduler.grpc);
    let requestId = 0n;
    for (const { leaf, value } of wrong(SubmitStreamRequestSchema)) {
      if (leaf.path === "request_id") continue;
      requestId += 1n;
      stream.send({ ...leaf.at(lawful(SubmitStreamRequestSchema), value), requestId });
      const outcome = await stream.answer(requestId);
      assert.equal(outcome.case, "refused", `${leaf.path} ${said(value)}`);
      assert.equal(outcome.case === "refused" && outcome.value.code, status.INVALID_ARGUMENT);
    }
    stream.end();
    assert.equal((await stream.ended).code, status.OK);
  });

  it("T15: cost a worker nothing that reports them of itself, and can be shown", async () => {
    const cases = wrong(WorkerMessageSchema);
    const inResults = cases.filter(({ leaf }) => leaf.path.startsWith("task_results"));
    const tasks = Array.from({ length: inResults.length + 1 }, () => ({ taskType: "held" }));
    await caller.call(TaskService.method.submitTasks, { tasks });
    const worker = await RawWorker.connect(scheduler.grpc, {
      slots: tasks.length,
      hello: { taskTypes: [{ $typeName: "muster.v1.TaskTypeCapacity", taskType: "held", concurrency: 0 }] },
    });
    for (const { leaf, value } of cases.filter(({ leaf: { path } }) => path.startsWith("hello."))) {
      const other = new RawWorker(scheduler.grpc);
      const { workerId, sessionId } = other;
      const hello = {
        protocolVersion: 1,
        workerId,
        sessionId,
        slotCount: 1,
        taskTypes: [{ taskType: "none" }],
      };
      other.sendBytes(encoded(leaf, { hello }, value));
      // Not of itself, but what it can be given by.
      if (/^hello\.(capacities|assignment_bytes)/.test(leaf.path)) {
        const { code, reason, details } = await other.ended;
        assert.deepEqual([code, reason], [status.INVALID_ARGUMENT, "INVALID_HELLO"], details);
        assert.match(details, /^hello\.(capacities\["key"\]|assignment_bytes) /);
        continue;
      }
      await other.next("welcome");
      other.cut();
    }
    await worker.next("assignments", () => worker.assignments().length === tasks.length);
    const [held, ...ending] = worker.assignments().map(({ attemptId }) => attemptId);
    const report = ({ leaf, value }: { leaf: Leaf; value: unknown }) => {
      const kind = kindOf(leaf);
      const attemptId = kind === "task_results" ? ending.pop() : held;
      const lists = {
        results: [{ attemptId }],
        events: [{ attemptId }],
        steps: [{ name: "step", state: StepState.PENDING }],
      };
      worker.sendBytes(encoded(leaf, { [camel(kind)]: { attemptId, ...lists } }, value));
    };
    const farewells = cases.filter(({ leaf }) => FAREWELLS.includes(kindOf(leaf)));
    const others = cases.filter(({ leaf }) => !["hello", ...FAREWELLS].includes(kindOf(leaf)));
    for (const one of others) report(one);
    const beaten = worker.beat();
    await worker.next("heartbeatAck", ({ sequence }) => sequence === beaten);
    const acknowledged = () => worker.all("resultAcks").flatMap(({ acks }) => acks).length;
    await worker.next("resultAcks", () => acknowledged() === inResults.length);
    await everythingIsShown();
    // Last: the attempts of a session that has ended are requeued.
    for (const one of farewells) report(one);
    await scheduler.program.line("worker.goodbye");
    await everythingIsShown();
  });

  it("T15: that an earlier version stored do not keep anybody from listing", async () => {
    const { tasks } = await caller.call(TaskService.method.submitTasks, {
      tasks: [{ taskType: "later", schedule: { case: "delay", value: { seconds: 1_000n } } }],
    });
    const id = tasks[0]?.taskId.slice(2);
    await db.query("update muster.task set wake_time = '12000-01-01' where id = $1", [id]);
    await everythingIsShown();
    const answer = await fetch(
      `${scheduler.http}/muster.v1.TaskService/GetTask`,
      json({ taskId: `t-${id}` }),
    );
    assert.equal(Object(await answer.json()).task.runTime, "9999-12-31T23:59:59.999Z");
  });

  function wrong(schema: DescMessage): { leaf: Leaf; value: unknown }[] {
    return leaves(schema).flatMap((leaf) => (WRONG[leaf.kind] ?? []).map((value) => ({ leaf, value })));
  }

  async function ask(method: DescMethod, request: Uint8Array): Promise<{ code: status; details: string }> {
    if (method.methodKind === "unary") return caller.bytes(method, request);
    return caller.streamEnd(method, request, 1);
  }

  async function everythingIsShown(): Promise<void> {
    for (const path of READS) {
      const answer = await fetch(`${scheduler.http}/muster.v1.${path}`, json({}));
      const text = await answer.text();
      assert.equal(answer.status, 200, `${path}: ${text.slice(0, 300)}`);
      JSON.parse(text);
    }
  }
});

function kindOf({ path }: Leaf): string {
  return path.split(".")[0] ?? "";
}

function encoded(leaf: Leaf, base: object, value: unknown): Uint8Array {
  return toBinary(WorkerMessageSchema, create(WorkerMessageSchema, leaf.at(base, value)));
}

function json(body: unknown): RequestInit {
  return {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  };
}

function said(value: unknown): string {
  return JSON.stringify(value, (_, each) => (typeof each === "bigint" ? `${each}n` : each)) ?? String(value);
}

function camel(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

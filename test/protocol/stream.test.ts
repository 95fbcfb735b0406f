import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, describe, it } from "node:test";
import { status } from "@grpc/grpc-js";
import { FleetService, RejectionReason, TaskService, TaskState, WorkerState } from "@muster/protocol";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { RawCaller } from "../support/peers/raw-call.ts";
import { cutAll, encodeWorkerMessage, RawWorker } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";
import { FAST, startTestScheduler, type TestScheduler } from "../support/programs/scheduler.ts";
import { until } from "../support/waits.ts";

const TOKEN = "conformance-token";

describe("protocol: the worker stream", () => {
  let db: TestDatabase;
  let scheduler: TestScheduler;
  let caller: RawCaller;

  before(async () => {
    db = await createDatabase();
    scheduler = await startTestScheduler({
      databaseUrl: db.url,
      args: ["--hello-timeout", "0.4", "--log-level", "debug"],
      env: { MUSTER_TOKEN: TOKEN },
    });
    caller = new RawCaller(scheduler.grpc, TOKEN);
  });
  afterEach(() => cutAll());
  after(async () => {
    caller.close();
    await killAll();
    await db.drop();
  });

  const connect = (options: ConstructorParameters<typeof RawWorker>[1] = {}) =>
    RawWorker.connect(scheduler.grpc, { token: TOKEN, ...options });
  const stream = (options: ConstructorParameters<typeof RawWorker>[1] = {}) =>
    new RawWorker(scheduler.grpc, { token: TOKEN, ...options });

  async function submit(type: string, fields: object = {}): Promise<string> {
    const { tasks } = await caller.call(TaskService.method.submitTasks, {
      tasks: [{ taskType: type, payload: Buffer.from("{}"), ...fields }],
    });
    return tasks[0]?.taskId ?? "";
  }

  async function task(taskId: string) {
    const { task: found } = await caller.call(TaskService.method.getTask, { taskId });
    assert.ok(found);
    return found;
  }

  /** Waits until the task has ended, by the watch that callers use. */
  async function untilState(taskId: string, state: TaskState) {
    return until(`${taskId} is in state ${state}`, async () => {
      const found = await task(taskId);
      return found.state === state ? found : undefined;
    });
  }

  /** A type of its own, so that no other test's worker takes the task. */
  function own(): { type: string; hello: { taskTypes: { taskType: string }[] } } {
    const type = `own-${randomUUID().slice(0, 8)}`;
    return { type, hello: { taskTypes: [{ taskType: type }] } };
  }

  it("wants hello first", async () => {
    const worker = stream();
    worker.beat();
    const end = await worker.ended;
    assert.equal(end.code, status.INVALID_ARGUMENT);
    assert.equal(end.reason, "INVALID_HELLO");
    assert.match(end.details, /must be hello, not heartbeat/);
  });

  it("takes hello once", async () => {
    const worker = await connect();
    worker.hello();
    const end = await worker.ended;
    assert.equal(end.code, status.INVALID_ARGUMENT);
    assert.equal(end.reason, "INVALID_MESSAGE");
  });

  it("ends a stream that does not say hello in time", async () => {
    const end = await stream().ended;
    assert.equal(end.code, status.DEADLINE_EXCEEDED);
    assert.equal(end.reason, "HELLO_TIMEOUT");
  });

  it("names both versions to a worker of another version", async () => {
    const worker = stream();
    worker.hello({ protocolVersion: 7 });
    const end = await worker.ended;
    assert.equal(end.code, status.FAILED_PRECONDITION);
    assert.equal(end.reason, "PROTOCOL_VERSION_MISMATCH");
    assert.match(end.details, /version 7.*version 1/);
  });

  it("refuses a wrong and a missing token, on the stream and on calls", async () => {
    for (const token of ["wrong", undefined]) {
      const worker = new RawWorker(scheduler.grpc, token === undefined ? {} : { token });
      worker.hello();
      const end = await worker.ended;
      assert.equal(end.code, status.UNAUTHENTICATED);
      assert.equal(end.reason, "INVALID_TOKEN");
      assert.ok(!end.details.includes(TOKEN));
      const other = new RawCaller(scheduler.grpc, token);
      const answer = await other.bytes(TaskService.method.listTasks, new Uint8Array());
      assert.equal(answer.code, status.UNAUTHENTICATED);
      other.close();
    }
    assert.ok(!scheduler.program.stdout.includes(TOKEN), "the token is in no log line");
  });

  it("names every fault of a hello", async () => {
    const worker = stream({ workerId: "not a worker id!", sessionId: "not-a-uuid" });
    worker.hello({ slotCount: 0, taskTypes: [] });
    const end = await worker.ended;
    assert.equal(end.code, status.INVALID_ARGUMENT);
    assert.equal(end.reason, "INVALID_HELLO");
    assert.match(end.details, /worker_id/);
  });

  it("refuses bytes that are no message", async () => {
    const worker = await connect();
    worker.sendBytes(Buffer.from([0x0a, 0xff, 0xff, 0xff]));
    const end = await worker.ended;
    assert.equal(end.code, status.INVALID_ARGUMENT);
    assert.equal(end.reason, "INVALID_MESSAGE");
  });

  it("ignores kinds and fields of a newer protocol", async () => {
    const worker = await connect();
    // Field 99 of the envelope, a length-delimited message of an unknown kind; then an empty envelope.
    worker.sendBytes(Buffer.from([0x9a, 0x06, 0x02, 0x08, 0x01]));
    worker.sendBytes(new Uint8Array());
    // A known kind with an unknown field within.
    const beat = encodeWorkerMessage({ case: "heartbeat", value: { sequence: 7n } });
    worker.sendBytes(Buffer.concat([beat, Buffer.from([0x9a, 0x06, 0x00])]));
    await worker.next("heartbeatAck", ({ sequence }) => sequence === 7n);
  });

  it("acknowledges every heartbeat with its number, and sends its settings", async () => {
    const worker = await connect({ beat: false });
    const welcome = await worker.next("welcome");
    assert.equal(
      Number(welcome.lease?.seconds ?? 0n) * 1_000 + (welcome.lease?.nanos ?? 0) / 1e6,
      FAST.leaseMs,
    );
    assert.equal(welcome.schedulerId, scheduler.id);
    assert.equal(welcome.protocolVersion, 1);
    for (let n = 0; n < 5; n++) {
      const sent = worker.beat();
      await worker.next("heartbeatAck", ({ sequence }) => sequence === sent);
    }
  });

  it("gives nothing to a worker that is not ready, and work as soon as it is", async () => {
    const { type, hello } = own();
    const worker = await connect({ hello: { ...hello, ready: false } });
    const taskId = await submit(type);
    const sent = worker.beat();
    await worker.next("heartbeatAck", ({ sequence }) => sequence === sent);
    assert.deepEqual(worker.assignments(), []);
    worker.send({ case: "startupPhase", value: { phase: "ready" } });
    worker.succeed((await worker.assignment(taskId)).attemptId);
    assert.equal((await untilState(taskId, TaskState.SUCCEEDED)).workerId, worker.workerId);
  });

  it("takes an unanswered assignment back and gives it to another, without cost", async () => {
    const { type, hello } = own();
    const deaf = await connect({ autoAccept: false, hello });
    const taskId = await submit(type);
    const first = await deaf.assignment(taskId);
    const good = await connect({ hello });
    const revoked = await deaf.next("revokeAttempt");
    assert.deepEqual([revoked.attemptId, revoked.reason], [first.attemptId, "accept_deadline"]);
    const second = await good.assignment(taskId);
    assert.notEqual(second.attemptId, first.attemptId);
    assert.equal(second.attemptNumber, 1, "it cost no attempt");
    good.succeed(second.attemptId);
    await untilState(taskId, TaskState.SUCCEEDED);
    // The deaf one wakes up after all.
    deaf.accept(first.attemptId);
    deaf.succeed(first.attemptId);
    const { acks } = await deaf.next("resultAcks");
    assert.equal(acks[0]?.stale, true);
    assert.equal((await task(taskId)).workerId, good.workerId);
  });

  it("gives a rejected assignment to another, and asks the one without a handler no more", async () => {
    const { type, hello } = own();
    const lacking = await connect({ autoAccept: false, hello });
    const taskId = await submit(type);
    const first = await lacking.assignment(taskId);
    lacking.send({
      case: "taskRejected",
      value: { attemptId: first.attemptId, reason: RejectionReason.UNKNOWN_TYPE, detail: "no handler" },
    });
    const able = await connect({ hello });
    const second = await able.assignment(taskId);
    assert.equal(second.attemptNumber, 1);
    able.succeed(second.attemptId);
    await untilState(taskId, TaskState.SUCCEEDED);
    assert.equal(lacking.assignments().length, 1);
  });

  it("lets the second stream of a session take the first one's place, attempts and all", async () => {
    const { type, hello } = own();
    const sessionId = randomUUID();
    const first = await connect({ sessionId, hello });
    const taskId = await submit(type);
    const { attemptId } = await first.assignment(taskId);
    const second = await connect({
      sessionId,
      workerId: first.workerId,
      hello: { ...hello, inFlight: [{ attemptId }, { attemptId: "t-999999.1" }] },
    });
    const end = await first.ended;
    assert.equal(end.code, status.ABORTED);
    assert.equal(end.reason, "WORKER_SUPERSEDED");
    const { decisions } = await second.next("welcome");
    assert.deepEqual(
      decisions.map((decision) => [decision.attemptId, decision.keep]),
      [
        [attemptId, true],
        ["t-999999.1", false],
      ],
    );
    second.succeed(attemptId);
    assert.equal((await untilState(taskId, TaskState.SUCCEEDED)).attemptCount, 1);
  });

  it("lets a newer process of a worker id take the older one's place", async () => {
    const { hello } = own();
    const first = await connect({ workerId: "the-same", hello });
    const second = await connect({ workerId: "the-same", hello });
    assert.equal((await first.ended).reason, "WORKER_SUPERSEDED");
    const { worker } = await caller.call(FleetService.method.getWorker, { workerId: "the-same" });
    assert.equal(worker?.sessionId, second.sessionId);
  });

  it("never has more attempts outstanding than slots and prefetch, nor than a type's share", async () => {
    const { type } = own();
    const worker = await connect({
      slots: 3,
      hello: {
        prefetchCount: 2,
        taskTypes: [{ taskType: type }, { taskType: `${type}-narrow`, concurrency: 1 }],
      },
    });
    const ids = [];
    for (let n = 0; n < 12; n++) ids.push(await submit(n % 3 === 0 ? `${type}-narrow` : type));
    let outstanding = 0;
    let narrow = 0;
    const finished = new Set<string>();
    for (let frame = 0; finished.size < ids.length; frame++) {
      await worker.next("assignments", () => worker.all("assignments").length > frame);
      const assignments = worker.all("assignments")[frame]?.assignments ?? [];
      outstanding += assignments.length;
      narrow += assignments.filter((assignment) => assignment.taskType !== type).length;
      assert.ok(outstanding <= 5, `${outstanding} outstanding with 3 slots and 2 prefetched`);
      assert.ok(narrow <= 1, `${narrow} of the type that takes one`);
      for (const assignment of assignments) {
        outstanding--;
        if (assignment.taskType !== type) narrow--;
        finished.add(assignment.taskId);
        worker.succeed(assignment.attemptId);
      }
    }
    for (const id of ids) await untilState(id, TaskState.SUCCEEDED);
  });

  it("applies a result once however often it comes, and acks each time", async () => {
    const { type, hello } = own();
    const worker = await connect({ hello });
    const taskId = await submit(type);
    const { attemptId } = await worker.assignment(taskId);
    worker.succeed(attemptId, '"first"');
    worker.succeed(attemptId, '"second"');
    const first = await worker.next("resultAcks", ({ acks }) =>
      acks.some((ack) => ack.attemptId === attemptId),
    );
    assert.equal(first.acks.find((ack) => ack.attemptId === attemptId)?.stale, false);
    const mark = worker.received.length;
    worker.succeed(attemptId, '"third"');
    const again = await worker.next("resultAcks", () => true, { after: mark });
    assert.deepEqual(
      again.acks.map((ack) => [ack.attemptId, ack.stale]),
      [[attemptId, true]],
    );
    const ended = await untilState(taskId, TaskState.SUCCEEDED);
    assert.equal(Buffer.from(ended.output).toString(), '"first"');
  });

  it("takes a result that a worker kept over a dropped connection", async () => {
    const { type, hello } = own();
    const sessionId = randomUUID();
    const first = await connect({ sessionId, hello });
    const taskId = await submit(type);
    const { attemptId } = await first.assignment(taskId);
    first.cut();
    await scheduler.program.line("worker.suspect", ({ worker_id }) => worker_id === first.workerId);
    const second = await connect({
      sessionId,
      workerId: first.workerId,
      hello: { ...hello, inFlight: [{ attemptId, resultPending: true }] },
    });
    assert.equal((await second.next("welcome")).decisions[0]?.keep, true);
    second.succeed(attemptId);
    const ended = await untilState(taskId, TaskState.SUCCEEDED);
    assert.equal(ended.attemptCount, 1);
    assert.equal(ended.attempts.length, 0);
  });

  it("acknowledges again what was committed before its acknowledgement got lost", async () => {
    const { type, hello } = own();
    const sessionId = randomUUID();
    const first = await connect({ sessionId, hello });
    const taskId = await submit(type);
    const { attemptId } = await first.assignment(taskId);
    first.stopReading();
    first.succeed(attemptId, '"once"');
    await untilState(taskId, TaskState.SUCCEEDED);
    first.cut();
    await scheduler.program.line("worker.suspect", ({ worker_id }) => worker_id === first.workerId);
    const second = await connect({
      sessionId,
      workerId: first.workerId,
      hello: { ...hello, inFlight: [{ attemptId, resultPending: true }] },
    });
    assert.equal((await second.next("welcome")).decisions[0]?.keep, true);
    second.succeed(attemptId, '"once"');
    const { acks } = await second.next("resultAcks");
    assert.deepEqual(
      acks.map((ack) => [ack.attemptId, ack.stale]),
      [[attemptId, false]],
    );
    assert.equal((await task(taskId)).attemptCount, 1);
    // It answers for the copy that was under way, not for whatever comes later.
    const mark = second.received.length;
    second.succeed(attemptId, '"twice"');
    const later = await second.next("resultAcks", () => true, { after: mark });
    assert.equal(later.acks[0]?.stale, true);
  });

  it("shows phase, progress and output of a running attempt to those who ask", async () => {
    const { type, hello } = own();
    const worker = await connect({ hello });
    const taskId = await submit(type);
    const { attemptId } = await worker.assignment(taskId);
    const events = ["task.started", "task.inference.started"].map((name, n) => ({
      ...{ attemptId, sequence: BigInt(n + 1), name },
    }));
    worker.send({ case: "taskEvents", value: { events } });
    worker.send({ case: "taskEvent", value: { attemptId, sequence: 2n, name: "task.inference.started" } });
    worker.send({
      case: "taskProgress",
      value: { attemptId, progress: { fraction: 0.25, message: "page 1 of 4" } },
    });
    worker.send({ case: "taskOutput", value: { attemptId, sequence: 1n, data: Buffer.from("line\n") } });
    await until("phase and progress are shown", async () => {
      const { phase, progress } = await task(taskId);
      return (phase === "inference" && progress?.message === "page 1 of 4") || undefined;
    });
    worker.send({ case: "taskEvent", value: { attemptId, sequence: 2n, name: "task.inference.completed" } });
    worker.succeed(attemptId);
    await untilState(taskId, TaskState.SUCCEEDED);
    const { events: recorded } = await caller.call(FleetService.method.listEvents, { taskId });
    const names = recorded.map(({ name }) => name);
    assert.deepEqual(names, [
      "created",
      "assigned",
      "accepted",
      "started",
      "task.inference.started",
      "succeeded",
    ]);
  });

  it("asks a worker to cancel, and takes its word for the end", async () => {
    const { type, hello } = own();
    const worker = await connect({ hello });
    const taskId = await submit(type);
    const { attemptId } = await worker.assignment(taskId);
    await caller.call(TaskService.method.cancelTask, { taskId, reason: "changed my mind" });
    const asked = await worker.next("cancelAttempt");
    assert.deepEqual([asked.attemptId, asked.reason], [attemptId, "changed my mind"]);
    worker.send({
      case: "taskResults",
      value: { results: [{ attemptId, outcome: { case: "cancelled", value: {} } }] },
    });
    assert.equal((await untilState(taskId, TaskState.CANCELLED)).cancelReason, "changed my mind");
  });

  it("gives back what a worker held at its goodbye, without cost", async () => {
    const { type, hello } = own();
    const leaving = await connect({ hello });
    const taskId = await submit(type);
    await leaving.assignment(taskId);
    leaving.send({ case: "draining", value: { reason: "SIGTERM" } });
    leaving.send({ case: "goodbye", value: { reason: "finished" } });
    leaving.end();
    const next = await connect({ hello });
    const again = await next.assignment(taskId);
    assert.equal(again.attemptNumber, 1);
    next.succeed(again.attemptId);
    const ended = await untilState(taskId, TaskState.SUCCEEDED);
    assert.equal(ended.attempts[0]?.outcome, "requeued:finished");
    const { worker } = await caller.call(FleetService.method.getWorker, { workerId: leaving.workerId });
    assert.equal(worker?.state, WorkerState.GONE);
    assert.equal(worker?.goneReason, "finished");
  });

  it("gives up a worker that falls silent on an open stream, and reruns what it held", async () => {
    const { type, hello } = own();
    const silent = await connect({ hello });
    const taskId = await submit(type);
    await silent.assignment(taskId);
    silent.silence();
    const end = await silent.ended;
    assert.equal(end.code, status.UNAVAILABLE);
    assert.equal(end.reason, "WORKER_LOST");
    const next = await connect({ hello });
    const again = await next.assignment(taskId);
    assert.equal(again.attemptNumber, 2);
    next.succeed(again.attemptId);
    assert.equal((await untilState(taskId, TaskState.SUCCEEDED)).attempts[0]?.outcome, "requeued:stale");
  });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import type { WatchEventsRequest } from "@muster/protocol";
import { Refusal, startFakeScheduler } from "./testing/fake-scheduler.ts";
import { runMuster, startMuster } from "./testing/muster-process.ts";

const NOON = Date.UTC(2026, 0, 2, 12);

/** A moment `ms` after noon. */
const noon = (ms = 0) => timestampFromMs(NOON + ms);

test("why looks among tasks, workers and queues, and --json is the explanation", async () => {
  const asked: string[] = [];
  const unknown = (kind: string) => () => {
    asked.push(kind);
    throw new Refusal(status.NOT_FOUND, "X_NOT_FOUND", "unknown");
  };
  await using scheduler = await startFakeScheduler({
    tasks: { explainTask: unknown("task") },
    fleet: {
      explainWorker: unknown("worker"),
      explainQueue: ({ queue }) => {
        asked.push(`queue ${queue}`);
        const evidence = [{ key: "ready_workers", value: "0", source: "matcher" }];
        const reason = {
          code: "NO_WORKERS",
          summary: "No worker.",
          since: noon(),
          evidence,
          remedy: "Start one.",
        };
        return { explanation: { subject: queue, state: "waiting", reasons: [reason] } };
      },
    },
  });
  const env = { MUSTER_SCHEDULER_ADDR: scheduler.address };
  const bare = await runMuster(["why", "nightly"], { env });
  assert.equal(bare.exitCode, 0, bare.stderr);
  assert.equal(
    bare.stdout.toString(),
    [
      "nightly is waiting",
      "",
      "NO_WORKERS  since 2026-01-02T12:00:00.000Z",
      "  No worker.",
      "  ready_workers  0  (matcher)",
      "  -> Start one.",
      "",
    ].join("\n"),
  );
  const said = await runMuster(["why", "queue:nightly", "--json"], { env });
  assert.equal(JSON.parse(said.stdout.toString()).reasons[0].code, "NO_WORKERS");
  assert.deepEqual(asked, ["task", "worker", "queue nightly", "queue nightly"]);
});

test("events are followed across a broken connection, without loss, until Ctrl-C", async () => {
  const watches: WatchEventsRequest[] = [];
  await using scheduler = await startFakeScheduler({
    fleet: {
      listEvents: () => ({
        events: [
          { id: 2n, name: "task.assigned", taskId: "t-1", time: noon(2) },
          { id: 1n, name: "task.created", taskId: "t-1", time: noon(1), attributes: { queue: "q" } },
        ],
      }),
      async *watchEvents(request) {
        watches.push(request);
        const id = request.afterEventId + 1n;
        yield { events: [{ id, name: "task.completed", taskId: "t-1", time: noon(Number(id)) }] };
        if (id === 3n) throw new Refusal(status.UNAVAILABLE, "SCHEDULER_STOPPING", "stopping");
        await new Promise(() => {});
      },
    },
  });
  await using muster = startMuster(["events", "--follow"], {
    env: { MUSTER_SCHEDULER_ADDR: scheduler.address },
  });
  await muster.sawStdout("\n4\t");
  muster.kill("SIGINT");
  const { stdout, stderr, signal } = await muster.ended;
  assert.equal(signal, "SIGINT");
  assert.equal(
    stdout.toString(),
    [
      "1\t2026-01-02T12:00:00.001Z\ttask.created\tt-1\t\t\tqueue=q",
      "2\t2026-01-02T12:00:00.002Z\ttask.assigned\tt-1\t\t\t",
      "3\t2026-01-02T12:00:00.003Z\ttask.completed\tt-1\t\t\t",
      "4\t2026-01-02T12:00:00.004Z\ttask.completed\tt-1\t\t\t",
      "",
    ].join("\n"),
  );
  assert.equal(stderr, "the connection broke: stopping; retrying\n");
  assert.deepEqual(
    watches.map(({ afterEventId }) => afterEventId),
    [2n, 3n],
  );
});

test("a follower that has nothing to show yet outlives a scheduler that goes away", async () => {
  let lists = 0;
  await using scheduler = await startFakeScheduler({
    fleet: {
      listEvents() {
        lists += 1;
        // The feed is empty at first; then calls fail; then there is an event.
        if (lists <= 2) return { events: [] };
        if (lists <= 4) throw new Refusal(status.UNAVAILABLE, "", "away");
        return { events: [{ id: 1n, name: "queue.paused", time: noon(1), attributes: { queue: "q" } }] };
      },
      async *watchEvents({ afterEventId }) {
        yield { events: [{ id: afterEventId + 1n, name: "queue.resumed", time: noon(2) }] };
        await new Promise(() => {});
      },
    },
  });
  await using muster = startMuster(["events", "--follow"], {
    env: { MUSTER_SCHEDULER_ADDR: scheduler.address },
  });
  await muster.sawStdout("\n2\t");
  muster.kill("SIGINT");
  const { stdout, stderr } = await muster.ended;
  assert.equal(
    stdout.toString(),
    [
      "1\t2026-01-02T12:00:00.001Z\tqueue.paused\t\t\t\tqueue=q",
      "2\t2026-01-02T12:00:00.002Z\tqueue.resumed\t\t\t\t",
      "",
    ].join("\n"),
  );
  assert.equal(stderr, "the connection broke: away; retrying\n".repeat(2));
});

test("following begins with an error when no scheduler answers", async () => {
  const { exitCode, stderr } = await runMuster(["events", "--follow", "--scheduler", "127.0.0.1:1"]);
  assert.equal(exitCode, 5);
  assert.match(stderr.toString(), /no scheduler answers at 127\.0\.0\.1:1/);
});

test("events of one id: a worker when no task has it, as one JSON document", async () => {
  await using scheduler = await startFakeScheduler({
    tasks: {
      getTask: () => {
        throw new Refusal(status.NOT_FOUND, "TASK_NOT_FOUND", "unknown");
      },
    },
    fleet: {
      getWorker: ({ workerId }) => ({ worker: { id: workerId } }),
      listEvents: ({ workerId, taskId }) => ({
        events: [
          { id: 1n, name: "worker.registered", workerId },
          { id: 2n, name: `for task "${taskId}"` },
        ],
      }),
    },
  });
  const ended = await runMuster(["events", "gpu-7", "--json", "--scheduler", scheduler.address]);
  assert.equal(ended.exitCode, 0, ended.stderr);
  const { events } = JSON.parse(ended.stdout.toString());
  assert.deepEqual(
    events.map(({ id, name, workerId }: Record<string, string>) => [id, name, workerId]),
    [
      ["1", "worker.registered", "gpu-7"],
      ["2", 'for task ""', ""],
    ],
  );
});

test("a reader that leaves early is no failure", async () => {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  await using scheduler = await startFakeScheduler({
    fleet: {
      listEvents: () => ({ events: [{ id: 1n, name: "task.created" }] }),
      async *watchEvents() {
        await released;
        for (let id = 2n; ; id += 1n) yield { events: [{ id, name: "task.created" }] };
      },
    },
  });
  await using muster = startMuster(["events", "--follow", "--scheduler", scheduler.address]);
  await muster.sawStdout("task.created");
  muster.stopReading();
  release();
  const { exitCode, stderr } = await muster.ended;
  assert.deepEqual([exitCode, stderr], [0, ""]);
});

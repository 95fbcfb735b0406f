import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import type { ListTasksRequest, WatchTaskResponse } from "@muster/protocol";
import {
  CatchUpPolicy,
  CircuitState,
  FailureClass,
  OverlapPolicy,
  QueueSetting,
  ScheduleState,
  TaskState,
  TickOutcome,
  WatchTaskResponseSchema,
  WorkerState,
} from "@muster/protocol";
import { requester } from "./io/requester.ts";
import { run } from "./run.ts";
import { FAKE_NOW, fakeIo } from "./testing/fake-io.ts";
import { Refusal, startFakeScheduler } from "./testing/fake-scheduler.ts";

const ago = (seconds: number) => timestampFromMs(FAKE_NOW - seconds * 1000);

test("a terminal of 80 columns gets tables that fit, with ages", async () => {
  await using scheduler = await startFakeScheduler({
    tasks: {
      listTasks: () => ({
        tasks: [
          {
            id: "t-1042",
            state: TaskState.RUNNING,
            taskType: "ocr.page.with.a.rather.long.type.name",
            queue: "default",
            attemptCount: 1,
            createTime: ago(12),
            phase: "inference",
            progress: { fraction: 0.409 },
            workerId: "gpu-machine-with-a-long-name-7",
          },
          {
            id: "t-1041",
            state: TaskState.QUEUED,
            detail: "retry",
            taskType: "ocr.page",
            queue: "default",
            createTime: ago(7200),
            runTime: ago(-300),
          },
        ],
        nextPageToken: "abc",
      }),
    },
  });
  const io = fakeIo({ isTTY: true });
  assert.equal(await run(["tasks", "--limit", "2", "--scheduler", scheduler.address], io), 0, io.err());
  const lines = io.out().trimEnd().split("\n");
  assert.deepEqual(
    lines.map((line) => line.length <= 80),
    lines.map(() => true),
    io.out(),
  );
  assert.match(lines[0] ?? "", /^ID +STATE +DETAIL +TYPE +QUEUE +TRIES +AGE +WORKER$/);
  assert.match(lines[1] ?? "", /^t-1042 +running +inferenc.* ocr\.page.*… +default +1 +12 s ago +gpu-ma/);
  assert.match(lines[2] ?? "", /^t-1041 +queued +retry in 5.* ocr\.page +default +0 +2 h ago$/);
  assert.match(io.err(), /2 shown, there are more: raise --limit, or continue with --page-token abc/);
});

test("a task is shown with its attempts and its failure", async () => {
  await using scheduler = await startFakeScheduler({
    tasks: {
      getTask: ({ taskId }) => ({
        task: {
          id: taskId,
          taskType: "ocr.page",
          queue: "default",
          state: TaskState.FAILED,
          detail: "RETRIES_EXHAUSTED",
          createTime: ago(90),
          finishTime: ago(3),
          attemptCount: 2,
          attemptId: "t-7.2",
          retryPolicy: { maxRetryCount: 1 },
          payload: Buffer.from('{"page":1}'),
          failure: {
            failureClass: FailureClass.RETRYABLE,
            code: "RETRIES_EXHAUSTED",
            message: "out of \u001b[31mink",
            traceback: "Error: ink\n    at print",
          },
          metrics: {
            runDuration: durationFromMs(72_000),
            phases: [{ phase: "model_load", duration: durationFromMs(4200), failed: true }],
          },
          attempts: [
            {
              id: "t-7.1",
              outcome: "failed",
              workerId: "w1",
              assignTime: ago(80),
              startTime: timestampFromMs(FAKE_NOW - 79_500),
              endTime: timestampFromMs(FAKE_NOW - 76_250),
              failure: { failureClass: FailureClass.RETRYABLE, code: "INK", message: "low" },
            },
          ],
        },
      }),
    },
  });
  const io = fakeIo({ isTTY: true });
  assert.equal(await run(["task", "t-7", "--scheduler", scheduler.address], io), 0, io.err());
  for (const line of [
    /^state +failed \(RETRIES_EXHAUSTED\)$/m,
    /^attempt +t-7\.2, number 2 of 2$/m,
    /^submitted +1 min ago \(2026-01-02T03:02:35\.000Z\)$/m,
    /^took +1 min 12 s$/m,
    /^phases +model_load 4\.2 s \(failed\)$/m,
    /^failure +RETRIES_EXHAUSTED \(retryable\) out of \[31mink$/m,
    /^payload +10 B of application\/json: \{"page":1\}$/m,
    /^t-7\.1 +failed +w1 +1 min ago +3\.2 s +INK \(retryable\) low$/m,
    /^traceback\nError: ink\n {4}at print$/m,
  ]) {
    assert.match(io.out(), line);
  }
});

test("a worker is shown with what it holds and how it started", async () => {
  await using scheduler = await startFakeScheduler({
    fleet: {
      getWorker: ({ workerId }) => ({
        worker: {
          id: workerId,
          state: WorkerState.SUSPECT,
          taskTypes: [{ taskType: "ocr.page", concurrency: 2 }],
          queues: ["default"],
          slotCount: 4,
          activeCount: 1,
          heartbeatTime: ago(31),
          lastHeartbeat: {
            eventLoopAge: durationFromMs(18_000),
            cpuUsage: 0.97,
            rssBytes: 1_610_612_736n,
          },
          running: [
            { attemptId: "t-7.1", phase: "inference", phaseAge: durationFromMs(18_000), progress: 0.5 },
          ],
          startupPhases: [{ phase: "boot", elapsed: durationFromMs(42) }],
        },
      }),
    },
  });
  const io = fakeIo({ isTTY: true });
  assert.equal(await run(["worker", "w1", "--scheduler", scheduler.address], io), 0, io.err());
  for (const line of [
    /^state +suspect$/m,
    /^types +ocr\.page×2$/m,
    /^last heartbeat +31 s ago/m,
    /^event loop ran +18 s before that heartbeat$/m,
    /^memory +1\.5 GiB$/m,
    /^t-7\.1 +inference +18 s +50%$/m,
    /^boot +ok +0\.04 s$/m,
  ]) {
    assert.match(io.out(), line);
  }
});

/** A stream that a test feeds. */
function feed(): { push(update: WatchTaskResponse): void; updates(): AsyncGenerator<WatchTaskResponse> } {
  const queue: WatchTaskResponse[] = [];
  let wake = (): void => {};
  return {
    push(update) {
      queue.push(update);
      wake();
    },
    async *updates() {
      for (;;) {
        const next = queue.shift();
        if (next !== undefined) yield next;
        else await new Promise<void>((resolve) => (wake = () => resolve()));
      }
    },
  };
}

test("a wait that does not get on says why, once per reason", async () => {
  const watch = feed();
  const reasons = ["NO_WORKERS", "NO_WORKERS", "ALL_SLOTS_BUSY"];
  await using scheduler = await startFakeScheduler({
    tasks: {
      submitTasks: () => ({ tasks: [{ taskId: "t-1" }] }),
      watchTask: () => watch.updates(),
      explainTask: () => {
        const code = reasons.shift();
        if (code === undefined) throw new Refusal(status.UNAVAILABLE, "DATABASE_UNAVAILABLE", "no database");
        return {
          explanation: {
            subject: "t-1",
            state: "queued",
            reasons: [{ code, summary: `so it is: ${code}.` }],
          },
        };
      },
    },
  });
  const io = fakeIo();
  const done = run(["submit", "echo", "1", "--wait", "--scheduler", scheduler.address], io);
  for (let looks = 0; looks < 4; looks += 1) {
    await io.timerSet();
    io.fire();
  }
  await io.timerSet();
  watch.push(
    create(WatchTaskResponseSchema, {
      task: { id: "t-1", state: TaskState.SUCCEEDED, output: Buffer.from("2") },
    }),
  );
  assert.equal(await done, 0, io.err());
  assert.equal(io.out(), "2\n");
  assert.equal(
    io.err(),
    [
      "waiting: NO_WORKERS: so it is: NO_WORKERS. (more: `muster why t-1`)",
      "waiting: ALL_SLOTS_BUSY: so it is: ALL_SLOTS_BUSY. (more: `muster why t-1`)",
      "waiting: cannot find out why t-1 is not done: no database; still waiting",
      "t-1 succeeded",
      "",
    ].join("\n"),
  );
});

test("Ctrl-C ends the wait and says that the task continues", async () => {
  const watch = feed();
  await using scheduler = await startFakeScheduler({
    tasks: { submitTasks: () => ({ tasks: [{ taskId: "t-1" }] }), watchTask: () => watch.updates() },
  });
  const io = fakeIo({ isTTY: true });
  const done = run(["submit", "echo", "1", "--wait", "--scheduler", scheduler.address], io);
  await io.timerSet();
  io.interrupt();
  assert.equal(await done, 130);
  assert.equal(io.out(), "");
  assert.match(
    io.err(),
    /error: no longer waiting for t-1; the task continues\n +`muster task t-1` shows it/,
  );
});

test("with several addresses the first one that answers is used", async () => {
  await using scheduler = await startFakeScheduler({
    tasks: { submitTasks: () => ({ tasks: [{ taskId: "t-1" }] }) },
    fleet: { listQueues: () => ({}) },
  });
  const closed = await startFakeScheduler({});
  await closed[Symbol.asyncDispose]();
  const io = fakeIo();
  const addresses = `${closed.address},${scheduler.address}`;
  assert.equal(await run(["--scheduler", addresses, "submit", "echo", "1"], io), 0, io.err());
  assert.equal(io.out(), "t-1\n");
});

test("locks are listed with their limit, their first holder and what waits", async () => {
  await using scheduler = await startFakeScheduler({
    fleet: {
      listLocks: ({ key, blocked }) => ({
        locks: [
          {
            key: key || "customer-17",
            heldCount: 2n,
            holders: [{ attemptId: "t-7.1", taskType: "ocr", workerId: "w1", holdTime: ago(90) }],
            waitingCount: blocked ? 3n : 0n,
            waitingTime: ago(5),
            lowestTaskLimit: 1,
            highestTaskLimit: 4,
            limitOverride: 2,
          },
          { key: "order 1", lowestTaskLimit: 1, highestTaskLimit: 4 },
        ],
      }),
    },
  });
  const io = fakeIo({ isTTY: true });
  assert.equal(await run(["locks", "--blocked", "--scheduler", scheduler.address], io), 0, io.err());
  const [title = "", first = "", second = ""] = io.out().split("\n");
  assert.match(title, /^KEY +HELD +LIMIT +HOLDER +SINCE +WORKER +WAITING +WAITING SINCE$/);
  assert.match(first, /^customer-17 +2 +2\* +t-7\.1 +1 min ago +w1 +3 +5 s ago$/);
  assert.match(second, /^order 1 +0 +1-4 /);
});

test("locks with a strict order have the task that goes first", async () => {
  await using scheduler = await startFakeScheduler({
    fleet: { listLocks: () => ({ locks: [{ key: "a" }, { key: "b", firstTaskId: "t-12" }] }) },
  });
  const io = fakeIo({});
  assert.equal(await run(["locks", "--scheduler", scheduler.address], io), 0, io.err());
  assert.deepEqual(
    io
      .out()
      .trimEnd()
      .split("\n")
      .map((line) => line.split("\t").at(-1)),
    ["", "t-12"],
  );
});

test("the limit of a key is set with the reason and the user's name, and unset", async () => {
  const asked: unknown[] = [];
  await using scheduler = await startFakeScheduler({
    fleet: {
      setConcurrencyLimit: ({ key, limit, reason }) => {
        asked.push({ key, limit, reason });
        return { lock: { key, heldCount: 1n, waitingCount: 2n } };
      },
      unsetConcurrencyLimit: ({ key }) => ({ lock: { key } }),
    },
  });
  const at = ["--scheduler", scheduler.address];
  const io = fakeIo({ isTTY: false });
  assert.equal(await run(["limit", "set", "customer-17", "0", "--reason", "full", ...at], io), 0, io.err());
  assert.equal(await run(["limit", "unset", "customer-17", ...at], io), 0, io.err());
  assert.match(JSON.stringify(asked), /^\[\{"key":"customer-17","limit":0,"reason":"full \(by .+\)"\}\]$/);
  assert.equal(
    io.out(),
    "the limit of customer-17 is 0; held by 1 task, 2 waiting\nthe limits of the tasks with customer-17 count; held by 0 tasks, 0 waiting\n",
  );
});

test("rate limits are listed with a line for each rate", async () => {
  const period = { seconds: 60n };
  await using scheduler = await startFakeScheduler({
    fleet: {
      listRateLimits: ({ key }) => ({
        keys: [
          {
            key: key || "smtp",
            buckets: [
              {
                limit: 50,
                period,
                burst: 5,
                overrides: true,
                tokenCount: 0,
                nextTokenDelay: { seconds: 2n },
              },
              { limit: 100, period, burst: 100, tokenCount: 7 },
            ],
            waitingCount: 3n,
            waitingTime: ago(5),
            pause: { remaining: { seconds: 90n } },
          },
        ],
      }),
    },
  });
  const io = fakeIo({ isTTY: true });
  assert.equal(await run(["rate-limits", "--scheduler", scheduler.address], io), 0, io.err());
  const [title = "", first = "", second = ""] = io.out().split("\n");
  assert.match(title, /^KEY +RATE +TOKENS +BURST +NEXT +PAUSED +WAITING +WAITING SINCE$/);
  assert.match(first, /^smtp +50\/1m\* +0 +5 +2\.0 s +1 min 30 s +3 +5 s ago$/);
  assert.match(second, /^smtp +100\/1m +7 +100 +1 min 30 s +3 +5 s ago$/);
});

test("settings of a queue are set, and taken back with `default`", async () => {
  const asked: unknown[] = [];
  await using scheduler = await startFakeScheduler({
    fleet: {
      configureQueue: ({ queue, settings, cleared, reason }) => {
        asked.push([settings?.maxRetryCount, settings?.backoff.case, cleared, reason]);
        return { queue: { name: queue, ...(settings ? { settings } : {}) } };
      },
    },
  });
  const at = ["--scheduler", scheduler.address];
  const io = fakeIo({ isTTY: false });
  for (const args of [
    ["nightly", "--max-retries", "0", "--backoff", "1s,factor=2", "--reason", "slow"],
    ["nightly", "--max-retries", "default", "--backoff", "default"],
  ])
    assert.equal(await run(["queue", "set", ...args, ...at], io), 0, io.err());
  const { MAX_RETRY_COUNT, BACKOFF } = QueueSetting;
  assert.deepEqual(asked, [
    [0, "exponential", [], `slow (by ${requester()})`],
    [undefined, undefined, [MAX_RETRY_COUNT, BACKOFF], `by ${requester()}`],
  ]);
  assert.equal(
    io.out(),
    "nightly has max-retries=0 backoff=1s,factor=2\nnightly has no settings of its own\n",
  );
  for (const [args, message] of [
    [[], /no setting is named; give one, for example --max-retries 10/],
    [["--max-retries", "1001"], /"1001" is not a whole number from 0 to 1000/],
    [["--backoff", "soon"], /"soon" is not a duration/],
  ] as const) {
    const wrong = fakeIo({ isTTY: false });
    assert.equal(await run(["queue", "set", "nightly", ...args, ...at], wrong), 2);
    assert.match(wrong.err(), message);
  }
  assert.equal(asked.length, 2);
});

test("the rate of a key and of a queue is set with the reason and the user's name, and ended", async () => {
  const asked: unknown[] = [];
  const show = ({ limit = 0, period = { seconds: 0n }, burst = 0 }) => `${limit}/${period.seconds}:${burst}`;
  await using scheduler = await startFakeScheduler({
    fleet: {
      setRateLimit: ({ rateLimit, reason }) => {
        asked.push([rateLimit?.key, show(Object(rateLimit)), reason]);
        return {
          key: { key: "smtp", buckets: [{ ...Object(rateLimit), $typeName: undefined }], waitingCount: 2n },
        };
      },
      unsetRateLimit: ({ key }) => ({ key: { key } }),
      rateLimitQueue: ({ queue, rate, reason }) => {
        asked.push([queue, rate ? show(Object(rate)) : "none", reason]);
        const bucket = rate && { limit: rate.limit, burst: rate.burst, period: { seconds: 60n } };
        return { queue: { name: queue, readyCount: 4n, ...(bucket ? { rate: bucket } : {}) } };
      },
    },
  });
  const at = ["--scheduler", scheduler.address];
  const io = fakeIo({ isTTY: false });
  for (const args of [
    ["rate-limit", "set", "smtp", "100/1m", "--burst", "10", "--reason", "full"],
    ["rate-limit", "unset", "smtp"],
    ["queue", "rate-limit", "nightly", "5/1m:2", "--reason", "slow"],
    ["queue", "rate-limit", "nightly", "none"],
  ])
    assert.equal(await run([...args, ...at], io), 0, io.err());
  assert.match(
    JSON.stringify(asked),
    /^\[\["smtp","100\/60:10","full \(by .+\)"\],\["nightly","5\/60:2","slow \(by .+\)"\],\["nightly","none","by .+"\]\]$/,
  );
  assert.equal(
    io.out(),
    [
      "the rate of smtp is 100/1m:10; 2 tasks waiting",
      "the rates of the tasks with smtp count; 0 tasks waiting",
      "nightly is limited to 5/1m:2; 4 tasks ready to start",
      "nightly has no rate limit; 4 tasks ready to start",
      "",
    ].join("\n"),
  );
  for (const [rate, fault] of [
    ["100", /"100" is not a rate: write the number of starts and the time, for example 100\/1m/],
    ["100/5", /"5" is not a duration/],
  ] as const) {
    const refused = fakeIo({ isTTY: false });
    assert.equal(await run(["rate-limit", "set", "smtp", rate, ...at], refused), 2);
    assert.match(refused.err(), fault);
  }
});

test("a key is paused for a time and resumed", async () => {
  const asked: unknown[] = [];
  await using scheduler = await startFakeScheduler({
    fleet: {
      pauseKey: ({ key, duration, reason }) => {
        asked.push([key, Number(duration?.seconds), reason]);
        return { key: { key, waitingCount: 1n, pause: { remaining: { seconds: 600n } } } };
      },
      resumeKey: ({ key }) => ({ key: { key, waitingCount: 1n } }),
    },
  });
  const at = ["--scheduler", scheduler.address];
  const io = fakeIo({ isTTY: false });
  assert.equal(
    await run(["key", "pause", "smtp", "--for", "10m", "--reason", "429", ...at], io),
    0,
    io.err(),
  );
  assert.equal(await run(["key", "resume", "smtp", ...at], io), 0, io.err());
  assert.match(JSON.stringify(asked), /^\[\["smtp",600,"429 \(by .+\)"\]\]$/);
  assert.equal(io.out(), "smtp is paused for 10 min; 1 task waiting\nsmtp is not paused; 1 task waiting\n");
});

test("circuits are listed with their failures, their rate and when they probe; one of them with its errors", async () => {
  const circuit = {
    key: "provider-a",
    state: CircuitState.OPEN,
    stateTime: ago(40),
    rule: { key: "provider-a", failureRate: 0.5, minSamples: 10, window: durationFromMs(60_000), probes: 1 },
    succeededCount: 3n,
    failedCount: 9n,
    openCount: 2,
    probeTime: ago(-20),
    failures: [{ attemptId: "t-7.1", code: "DOWN", message: "503", time: ago(41) }],
  };
  await using scheduler = await startFakeScheduler({
    fleet: {
      listCircuits: ({ notClosed }) => ({ circuits: notClosed ? [circuit] : [circuit, { key: "b" }] }),
    },
  });
  const io = fakeIo({ isTTY: true });
  assert.equal(await run(["circuits", "--open", "--scheduler", scheduler.address], io), 0, io.err());
  const [title = "", first = ""] = io.out().split("\n");
  assert.match(title, /^KEY +STATE +SINCE +FAILED +RATE +LIMIT +PROBES +ERROR$/);
  assert.match(first, /^provider-a +open +40 s ago +9\/12 +0\.75 +0\.50 +in 20 s +t-7\.1 DOWN/);
  const one = fakeIo({ isTTY: false });
  assert.equal(await run(["circuits", "provider-a", "--scheduler", scheduler.address], one), 0, one.err());
  assert.match(one.out(), /^failures\t9 of 12 \(0\.75\)$/m);
  assert.match(one.out(), /^error\tt-7\.1 DOWN: 503 41 s ago$/m);
});

test("a circuit is opened for a time and reset, with the reason and the user's name", async () => {
  const asked: unknown[] = [];
  await using scheduler = await startFakeScheduler({
    fleet: {
      openCircuit: ({ key, reason, openFor }) => {
        asked.push([key, reason, Number(openFor?.seconds)]);
        return { circuit: { key, state: CircuitState.OPEN } };
      },
      resetCircuit: ({ key, reason }) => {
        asked.push([key, reason]);
        return { circuit: { key, state: CircuitState.CLOSED } };
      },
    },
  });
  const at = ["--scheduler", scheduler.address];
  const io = fakeIo({ isTTY: false });
  const open = ["circuit", "open", "provider-a", "--reason", "maintenance", "--for", "1h", ...at];
  assert.equal(await run(open, io), 0, io.err());
  assert.equal(await run(["circuit", "reset", "provider-a", ...at], io), 0, io.err());
  assert.match(
    JSON.stringify(asked),
    /^\[\["provider-a","maintenance \(by .+\)",3600\],\["provider-a","by .+"\]\]$/,
  );
  assert.equal(
    io.out(),
    "the circuit provider-a is open; it stays open until `muster circuit reset`\nthe circuit provider-a is closed\n",
  );
});

test("schedules are listed with their next tick; one of them with its ticks", async () => {
  const schedule = {
    spec: {
      name: "nightly",
      task: { taskType: "report", queue: "" },
      timing: { case: "cron" as const, value: { expression: "30 2 * * *", timezone: "Europe/Berlin" } },
      ...{ overlap: OverlapPolicy.SKIP, catchUp: CatchUpPolicy.ALL, catchUpLimit: 7 },
    },
    state: ScheduleState.FAILING,
    dueTime: ago(-30),
    nextTimes: [ago(-30), ago(-86_430)],
    failure: { code: "QUEUE_FULL", message: "queue default is full", count: 4, sinceTime: ago(15) },
    ticks: [
      {
        tickTime: ago(7_200),
        outcome: TickOutcome.SUBMITTED,
        taskId: "t-7",
        count: 1n,
        decideTime: ago(7_199),
      },
      { tickTime: ago(90_000), lastTickTime: ago(10_800), outcome: TickOutcome.MISSED, count: 23n },
    ],
    openTaskIds: ["t-7"],
  };
  await using scheduler = await startFakeScheduler({
    schedules: {
      listSchedules: () => ({ schedules: [schedule] }),
      getSchedule: () => ({ schedule }),
    },
  });
  const io = fakeIo({ isTTY: true });
  assert.equal(await run(["schedules", "--scheduler", scheduler.address], io), 0, io.err());
  const [title = "", first = ""] = io.out().split("\n");
  assert.match(title, /^NAME +STATE +TIMING +NEXT +LAST +OUTCOME +TYPE +QUEUE$/);
  assert.match(first, /^nightly +failing +30 2 .* +in 30 s +2 h ago +submitted +report +default/);
  const one = fakeIo({ isTTY: false });
  const show = ["schedule", "show", "nightly", "--scheduler", scheduler.address];
  assert.equal(await run(show, one), 0, one.err());
  assert.match(one.out(), /^failure\tQUEUE_FULL queue default is full \(4 tries\)$/m);
  assert.match(one.out(), /^catch-up\tall, up to 7$/m);
  assert.equal(one.out().match(/^next tick\t/gm)?.length, 2);
  assert.match(one.out(), /^tick\t\S+ submitted t-7$/m);
  assert.match(one.out(), /^tick\t\S+ to \S+ missed 23$/m);
});

test("a schedule is set with what was given, paused with the user's name, run and deleted", async () => {
  const asked: unknown[] = [];
  await using scheduler = await startFakeScheduler({
    schedules: {
      setSchedule: ({ schedule }) => {
        const { task, timing, overlap, catchUp } = schedule ?? {};
        asked.push([
          task?.taskType,
          Buffer.from(task?.payload ?? []).toString(),
          timing?.case,
          overlap,
          catchUp,
        ]);
        return { schedule: { nextTimes: [ago(-90)] } };
      },
      pauseSchedule: ({ name, reason }) => {
        asked.push([name, reason.replace(/\(by .+\)$/, "(by NAME)")]);
        return { schedule: { pauseReason: "a migration" } };
      },
      runSchedule: ({ name }) => ({ taskId: name === "poll" ? "t-9" : "" }),
      deleteSchedule: () => ({}),
    },
  });
  const at = ["--scheduler", scheduler.address];
  const io = fakeIo({ isTTY: false });
  const muster = (...args: string[]) => run([...args, ...at], io);
  const set = ["schedule", "set", "poll", "--type", "feed.poll", "--payload", '{"a":1}'];
  const policies = ["--overlap", "queue", "--catch-up", "none"];
  assert.equal(await muster(...set, "--every", "15m", ...policies), 0, io.err());
  assert.equal(await muster("schedule", "pause", "poll", "--reason", "a migration"), 0, io.err());
  assert.equal(await muster("schedule", "run-now", "poll"), 0, io.err());
  assert.equal(await muster("schedule", "delete", "poll"), 0, io.err());
  assert.deepEqual(asked, [
    ["feed.poll", '{"a":1}', "every", OverlapPolicy.QUEUE, CatchUpPolicy.SKIP_MISSED],
    ["poll", "a migration (by NAME)"],
  ]);
  assert.match(
    io.out(),
    /^the schedule poll is set; next tick \d{4}-|^the schedule poll is set; next tick in/,
  );
  assert.match(io.out(), /^the schedule poll is paused: a migration\nt-9\nthe schedule poll is deleted$/m);
  assert.equal(await muster(...set), 2);
  assert.match(io.err(), /give exactly one of --cron and --every/);
  assert.equal(await muster(...set, "--every", "1m", "--timezone", "UTC"), 2);
  assert.match(io.err(), /--timezone belongs to --cron/);
});

test("failures are listed by code with their share, the first, the last and an example; as lines when piped", async () => {
  const group = {
    cause: "worker_lost",
    code: "WORKER_LOST",
    failedCount: 8n,
    firstTime: ago(7_000),
    lastTime: ago(90),
    exampleTaskId: "t-7",
    exampleAttemptId: "t-7.2",
    exampleMessage: "worker gpu-3 vanished",
    exampleWorkerId: "gpu-3",
  };
  const late = { cause: "DEADLINE_BEFORE_START", code: "DEADLINE_BEFORE_START", failedCount: 2n };
  const seen: (bigint | string | undefined)[] = [];
  await using scheduler = await startFakeScheduler({
    fleet: {
      getFailureStatistics: ({ window, queue, taskType, workerId }) => {
        seen.push(window?.seconds, queue, taskType, workerId);
        return {
          readTime: ago(0),
          startTime: ago(7_200),
          attempts: {
            failedCount: 10n,
            succeededCount: 90n,
            successRate: 0.9,
            groups: [group],
            groupCount: 2n,
          },
          tasks: { failedCount: 2n, groups: [{ ...late, exampleTaskId: "t-9" }], groupCount: 1n },
          succeededAge: { seconds: 7n },
        };
      },
    },
  });
  const filters = ["--since", "2h", "--queue", "gpu", "--type", "ocr", "--worker", "gpu-3"];
  const io = fakeIo({ isTTY: true });
  assert.equal(await run(["failures", ...filters, "--scheduler", scheduler.address], io), 0, io.err());
  assert.deepEqual(seen, [7_200n, "gpu", "ocr", "gpu-3"]);
  assert.match(io.out(), /^within 2 h, since \d{4}-/);
  assert.match(
    io.out(),
    /\nattempts: 10 failed, 90 succeeded \(90\.0 % success, counted up to 7\.0 s ago\)\n/,
  );
  assert.match(io.out(), /\n8 of 10 +WORKER_LOST +worker_\S+ +1 h ago +1 min ago +t-7\.2 +gpu-3 +worker /);
  assert.match(io.out(), /\nand 1 more, with fewer failures each\n/);
  assert.match(io.out(), /\ntasks: 2 failed for good; the successes are not known\n/);
  const piped = fakeIo();
  assert.equal(await run(["failures", "--scheduler", scheduler.address], piped), 0, piped.err());
  const [first = "", second = ""] = piped.out().split("\n");
  assert.match(
    first,
    /^attempts\t8\tWORKER_LOST\tworker_lost\t\S+Z\t\S+Z\tt-7\.2\tgpu-3\tworker gpu-3 vanished$/,
  );
  assert.match(second, /^tasks\t2\tDEADLINE_BEFORE_START\tDEADLINE_BEFORE_START\t\t\tt-9\t\t$/);
});

test("tasks are listed and retried by their steps", async () => {
  const seen: unknown[] = [];
  await using scheduler = await startFakeScheduler({
    tasks: {
      listTasks: ({ step }) => {
        seen.push(step && [step.name, step.state]);
        return {};
      },
      async *changeTasks({ filter, change, dryRun }) {
        await Promise.resolve();
        const step = filter?.step && [filter.step.name, filter.step.state];
        seen.push([step, change.case === "retryTasks" && change.value.step, filter?.taskIds, dryRun]);
        yield { finished: true, matchedCount: 2n, doneCount: 2n };
      },
    },
  });
  const runs = (...args: string[]) => run([...args, "--scheduler", scheduler.address], fakeIo());
  assert.equal(await runs("tasks", "--step", "create_pr=failed"), 0);
  assert.equal(await runs("tasks", "--step", "create_pr"), 0);
  assert.equal(await runs("retry", "--step", "create_pr", "--yes"), 0);
  assert.equal(await runs("retry", "--step", "create_pr", "t-1", "t-2"), 0);
  assert.equal(await runs("cancel", "--with-step", "notify=pending", "--dry-run"), 0);
  assert.deepEqual(seen, [
    ["create_pr", 3],
    ["create_pr", 0],
    [["create_pr", 3], "create_pr", [], false],
    [undefined, "create_pr", ["t-1", "t-2"], false],
    [["notify", 1], false, [], true],
  ]);
  for (const wrong of [
    ["tasks", "--step", "a=b"],
    ["tasks", "--step", "A"],
    ["retry", "--step", "A", "t-1"],
  ])
    assert.equal(await runs(...wrong), 2, wrong.join(" "));
});

test("tasks are found by the times and the error that they have, on every page with the same bounds", async () => {
  const seen: ListTasksRequest[] = [];
  await using scheduler = await startFakeScheduler({
    tasks: {
      listTasks: (request) => {
        seen.push(request);
        return { nextPageToken: seen.length === 1 ? "more" : "" };
      },
    },
  });
  const runs = (...args: string[]) => run([...args, "--scheduler", scheduler.address], fakeIo());
  const when = ["--newer-than", "2026-03-29T02:00:00Z", "--older-than", "1h", "--ended-after", "2h"];
  const error = ["--error", "no route", "--failure-code", "A", "--failure-code", "B"];
  assert.equal(await runs("tasks", ...when, ...error), 0);
  const [first, second] = seen.map(({ $typeName: _, pageToken: __, ...request }) => request);
  assert.deepEqual(first, second, "a page without tasks is not the last");
  assert.equal(first?.minCreateTime?.seconds, BigInt(Date.UTC(2026, 2, 29, 2)) / 1_000n);
  assert.ok((first?.maxCreateTime?.seconds ?? 0n) - (first?.minFinishTime?.seconds ?? 0n) === 3_600n);
  assert.equal(first?.maxFinishTime, undefined);
  assert.deepEqual([first?.errorText, first?.failureCodes], ["no route", ["A", "B"]]);
  assert.equal(await runs("tasks", "--ended-before", "tomorrow"), 2);
});

test("what handlers measured is shown as a table, and piped as lines", async () => {
  const seen: (bigint | string | undefined)[] = [];
  const total = { queue: "gpu", taskType: "llm", name: "tokens_in", sum: 0.1 + 0.2, attemptCount: 3n };
  await using scheduler = await startFakeScheduler({
    fleet: {
      getMetricStatistics: ({ window, queue, taskType, name }) => {
        seen.push(window?.seconds, queue, taskType, name);
        const totals = name === "none" ? [] : [total, { ...total, name: "calls", sum: 7, attemptCount: 0n }];
        return { readTime: ago(0), startTime: ago(7_200), totals, totalCount: BigInt(totals.length + 1) };
      },
    },
  });
  const filters = ["--since", "2h", "--queue", "gpu", "--type", "llm", "--name", "tokens_in"];
  const io = fakeIo({ isTTY: true });
  assert.equal(await run(["stats", ...filters, "--scheduler", scheduler.address], io), 0, io.err());
  assert.deepEqual(seen, [7_200n, "gpu", "llm", "tokens_in"]);
  assert.match(io.out(), /^within 2 h, since \d{4}-\S+\n\nQUEUE +TYPE +NAME +SUM +ATTEMPTS +BY ATTEMPT\n/);
  assert.match(io.out(), /\ngpu +llm +tokens_in +0\.3 +3 +0\.1 *\n/);
  assert.match(io.out(), /\nand 1 more: give --queue, --type or --name\n$/);
  const piped = fakeIo();
  assert.equal(await run(["stats", "--scheduler", scheduler.address], piped), 0, piped.err());
  assert.equal(piped.out(), "gpu\tllm\ttokens_in\t0.3\t3\t0.1\ngpu\tllm\tcalls\t7\t0\t\n");
  const none = fakeIo();
  assert.equal(await run(["stats", "--name", "none", "--scheduler", scheduler.address], none), 0);
  assert.match(none.err(), /no handler measured anything in this window/);
});

test("failures of an empty window are hinted at, and one that was cut is called so", async () => {
  await using scheduler = await startFakeScheduler({
    fleet: {
      getFailureStatistics: () => ({
        truncated: true,
        attempts: { failedCount: 0n, succeededCount: 0n },
        tasks: { failedCount: 0n, succeededCount: 0n },
      }),
    },
  });
  const io = fakeIo({ isTTY: true });
  assert.equal(await run(["failures", "--scheduler", scheduler.address], io), 0, io.err());
  assert.match(io.out(), /attempts: 0 failed, 0 succeeded\n/);
  assert.match(io.err(), /the window was cut.*\n.*nothing failed in this window/s);
});

test("batches are listed with their state, how far they are and their completion task", async () => {
  const counts = { totalCount: 3n, succeededCount: 1n, failedCount: 1n, runningCount: 1n };
  await using scheduler = await startFakeScheduler({
    tasks: {
      listBatches: ({ open, title }) => ({
        batches: [
          { id: "b-3", title: `${title} ${open}`, completionTaskId: "t-3", createTime: ago(90), counts },
          { id: "b-2", createTime: ago(90), closeTime: ago(80) },
          { id: "b-1", createTime: ago(90), closeTime: ago(80), cancelTime: ago(80), counts: {} },
        ],
      }),
    },
  });
  const io = fakeIo({ isTTY: true });
  const filters = ["--open", "--title", "book"];
  assert.equal(await run(["batches", ...filters, "--scheduler", scheduler.address], io), 0, io.err());
  const [title = "", ...rows] = io.out().trimEnd().split("\n");
  assert.match(title, /^ID +STATE +ENDED +FAILED +COMPLETION +CREATED +TITLE$/);
  assert.match(rows[0] ?? "", /^b-3 +open +2\/3 +1 +t-3 +1 min ago +book true$/);
  assert.match(rows[1] ?? "", /^b-2 +closed +1 min ago$/);
  assert.match(rows[2] ?? "", /^b-1 +cancelled +0\/0 +0 +1 min ago$/);
});

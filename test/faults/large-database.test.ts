import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { TaskState, WorkerState } from "@muster/protocol";
import { createDatabase } from "../support/database/postgres.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { longTurns, MEASURED_LOOP } from "../support/programs/loop-turns.ts";
import { killAll } from "../support/programs/program.ts";

/** No call holds the scheduler's loop for longer, milliseconds of processor time. */
const TURN_MS = 50;

const WORKERS = 2_000;
const CLASSES = 5_000;
const FINISHED = 100_000;
const EVENTS = 10_000;
const REFUSED = 1_000;
const LAUNCHES = 2_000;

const HELLO = JSON.stringify({
  sdk: "muster-typescript 0.1.0 typescript",
  pool: "gpu",
  labels: { gpu: "a100", zone: "eu-1" },
  types: Array.from({ length: 20 }, (_, n) => ({ type: `served-${n}`, concurrency: 2 })),
  queues: ["default", "busy"],
  slots: 4,
  prefetch: 0,
  resources: Array.from({ length: 20 }, (_, n) => `model:${n}`),
  launchId: "",
  features: [],
  loadable: [],
  host: { hostname: "here", pid: 1, cwd: "/", cpus: 8, memoryBytes: 1_000_000, runtime: "node" },
});

const BEAT = JSON.stringify({
  sequence: 9,
  slots: 4,
  running: [],
  loopAgeMs: 1,
  loopDelayP99Ms: 1,
  cpuUsage: 0.5,
  rssBytes: 1_000_000,
  heapUsedBytes: 1_000,
  resources: Array.from({ length: 20 }, (_, n) => `model:${n}`),
  paused: false,
  pauseReason: "",
  counters: { tasks_succeeded: 5 },
});

const PHASES = JSON.stringify(
  Array.from({ length: 10 }, (_, n) => ({
    phase: `phase_${n}`,
    outcome: "ok",
    elapsedMs: 10,
    detail: "d".repeat(100),
    attributes: { note: "n".repeat(100) },
  })),
);

const CLAIMS = JSON.stringify({
  protocolVersion: 1,
  sdk: "muster-typescript 0.1.0 typescript",
  hostname: "here",
  pid: 1,
  pool: "gpu",
  types: Array.from({ length: 20 }, (_, n) => `refused-${n}`),
  sessionId: "",
});

/** Each statement with its parameters, in order. */
const ROWS: readonly (readonly [string, readonly unknown[]])[] = [
  ["insert into queue (name) values ('default'), ('busy')", []],
  [
    `insert into task_class (key, queue, type)
     select sha256(convert_to(format('["busy","%s",[],[]]', type), 'utf8')), 'busy', type
       from (select format('type-%s', n) as type from generate_series(1, $1::int) n) t`,
    [CLASSES],
  ],
  ["insert into task (class_id, priority, state, payload) select id, 0, 0, '{}' from task_class", []],
  [
    `insert into task_finished (id, class_id, priority, state, detail, attempt_count, oom_count, epoch, create_time,
       finish_time, failure, payload)
     select 1000000 + n, 1 + n % 50, 0, case when n % 2 = 0 then 4 else 5 end, 'ON_PURPOSE', 1, 0, 1, now(),
       now() - n * interval '100 ms',
       jsonb_build_object('class', 'retryable', 'code', 'ON_PURPOSE', 'message', repeat('m', 200)), '{}'
       from generate_series(1, $1::int) n`,
    [FINISHED],
  ],
  ["select setval(pg_get_serial_sequence('task', 'id'), 2000000)", []],
  [
    `insert into worker_session (uuid, worker_id, scheduler_id, hello, phases, ready)
     select gen_random_uuid(), 'worker-' || n, 'elsewhere', $2::jsonb, $3::jsonb, true
       from generate_series(1, $1::int) n`,
    [WORKERS, HELLO, PHASES],
  ],
  [
    `insert into session_lease (session_id, scheduler_id, lease_until, heartbeat_time, heartbeat)
     select id, 'elsewhere', now() + interval '1 day', now() + interval '1 hour', $1::jsonb from worker_session`,
    [BEAT],
  ],
  [
    `insert into launch (launch_id, worker_id, pool, facts, phases, launch_time, end_time, end_reason)
     select 'launch-' || n, 'launched-' || n, 'gpu',
            jsonb_build_object('command', 'node worker.ts', 'hostname', 'here', 'pid', n, 'supervisor', 's',
              'startNumber', 1, 'registerTimeoutMs', 60000),
            $2::jsonb, now(), now(), 'launch_failed' from generate_series(1, $1::int) n`,
    [LAUNCHES, PHASES],
  ],
  [
    `insert into worker_refusal (worker_id, code, peer_host, peer, message, claims, scheduler_protocol_version, scheduler_id, count)
     select 'refused-' || n, 'BAD_TOKEN', '10.0.0.1', '10.0.0.1:1', repeat('m', 500), $2::jsonb, 1, 'elsewhere', 5
       from generate_series(1, $1::int) n`,
    [REFUSED, CLAIMS],
  ],
  [
    `insert into event (name, task_id, epoch, worker_id, sequence, attributes)
     select 'task.phase', 1, 1, 'worker-1', n, jsonb_build_object('phase', 'phase-' || n, 'note', repeat('n', 100))
       from generate_series(1, $1::int) n`,
    [EVENTS],
  ],
  ["analyze", []],
];

describe("T39: a large database", () => {
  let fleet: Fleet;

  before(async () => {
    const database = await createDatabase();
    for (const [text, values] of ROWS) await database.query(text, [...values]);
    fleet = await Fleet.start({ database, env: MEASURED_LOOP, args: ["--poll-interval", "1"] });
  });
  after(async () => {
    await killAll();
    await fleet.stop();
  });

  it("leaves the loop free while any read API is called", async () => {
    const { fleet: api, tasks } = fleet.client;
    const pageSize = 1_000;
    const calls: Record<string, () => Promise<unknown>> = {
      nothing: () =>
        fleet.scheduler.program.line("monitor", undefined, { after: fleet.scheduler.program.mark() }),
      ListTasks: () => tasks.listTasks({ pageSize }),
      "ListTasks of a queue": () => tasks.listTasks({ queue: "busy", pageSize }),
      "ListTasks of a type": () => tasks.listTasks({ taskType: "type-7", pageSize }),
      "ListTasks queued": () => tasks.listTasks({ states: [TaskState.QUEUED], pageSize }),
      "ListTasks failed": () => tasks.listTasks({ states: [TaskState.FAILED], pageSize }),
      "ListTasks by a failure": () =>
        tasks.listTasks({ failureCodes: ["NONE"], errorText: "no such", pageSize }),
      "ListTasks of a time": () =>
        tasks.listTasks({
          minCreateTime: timestampFromMs(0),
          maxFinishTime: timestampFromMs(Date.now()),
          pageSize,
        }),
      "ListTasks of a tag": () => tasks.listTasks({ tags: ["import-17"], pageSize }),
      "ListTasks of a worker": () => tasks.listTasks({ workerId: "worker-7", pageSize }),
      GetTask: () => tasks.getTask({ taskId: "t-1" }),
      ExplainTask: () => tasks.explainTask({ taskId: "t-1" }),
      ListWorkers: () => api.listWorkers({ pageSize }),
      "ListWorkers of a pool": () => api.listWorkers({ pool: "gpu", pageSize }),
      "ListWorkers refused": () => api.listWorkers({ states: [WorkerState.REFUSED], pageSize }),
      "ListWorkers gone": () => api.listWorkers({ states: [WorkerState.GONE], pageSize }),
      GetWorker: () => api.getWorker({ workerId: "worker-7" }),
      ExplainWorker: () => api.explainWorker({ workerId: "worker-7" }),
      ListQueues: () => api.listQueues({ pageSize }),
      ExplainQueue: () => api.explainQueue({ queue: "busy" }),
      ListLaunches: () => api.listLaunches({ pageSize }),
      ListEvents: () => api.listEvents({ pageSize }),
      "ListEvents of a task": () => api.listEvents({ taskId: "t-1", pageSize }),
      "ListEvents of a worker": () => api.listEvents({ workerId: "worker-1", pageSize }),
      GetOverview: () => api.getOverview({ limit: 100 }),
      Diagnose: () => api.diagnose({}),
      metrics: async () => (await fetch(`${fleet.scheduler.http}/metrics`)).text(),
      WatchEvents: async () => {
        let seen = 0;
        const over = new AbortController();
        try {
          for await (const { events } of api.watchEvents({ afterEventId: 1n }, { signal: over.signal })) {
            seen += events.length;
            if (seen >= EVENTS - 1) over.abort(new Error("enough"));
          }
        } catch (error) {
          if (!over.signal.aborted) throw error;
        }
      },
    };
    assert.deepEqual(await longTurns(fleet.scheduler.program, calls, () => TURN_MS), []);
  });
});

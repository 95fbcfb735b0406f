import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { TaskState } from "@muster/protocol";
import type { TaskHandle } from "@muster/worker/client";
import { SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { FaultProxy } from "../support/peers/fault-proxy.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { until } from "../support/waits.ts";

const ARGS = [
  ...["--quarantine-after", "6", "--quarantine-window", "120", "--quarantine-probe", "0.5"],
  ...["--lease", "10", "--reconnect-grace", "10", "--accept-deadline", "10"],
];

/** Longest time until a quarantine is reported: polls and heartbeats of a busy machine. */
const BOUND_MS = 10_000;

const RETRY = { maxRetries: 50, delaysS: [0.2] };

describe("F35: a worker fails everything that it is assigned, and its peers do not", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(ARGS);
  });

  after(() => pair.stop());

  const render = (queue: string, count: number): Promise<TaskHandle[]> =>
    pair.atOne.submitMany(Array.from({ length: count }, () => ({ type: "render", queue, retry: RETRY })));

  /** `quarantined` and why each of them ended, in order. */
  const story = async (workerId: string): Promise<string[]> => {
    const { events } = await pair.fleet.client.fleet.listEvents({ workerId, pageSize: 1_000 });
    return events.flatMap(({ name, attributes }) => {
      if (name === "worker.quarantined") return ["quarantined"];
      return name === "worker.quarantine_ended" ? [attributes.reason ?? ""] : [];
    });
  };
  /** Waits for them; tasks of the queue, all of which succeed, come and go meanwhile. */
  const became = async (workerId: string, wanted: readonly string[], queue?: string): Promise<void> => {
    const found = await until(`${workerId}: ${wanted.join()}`, async () => {
      if (queue !== undefined) for (const handle of await render(queue, 20)) await handle.result();
      const now = await story(workerId);
      return now.length >= wanted.length ? now : undefined;
    });
    assert.deepEqual(found.slice(0, wanted.length), wanted);
  };

  it("F35: it is quarantined, the tasks succeed at peers of another scheduler, and a probe brings it back", async () => {
    const queue = "broken";
    const broken = pair.fleet.gate();
    broken.open();
    await using proxy = await FaultProxy.start(pair.one.grpc);
    const env = { BROKEN: broken.path };
    const worker = await pair.fleet.worker("broken-1", { queue, env, scheduler: proxy.address });
    for (const id of ["good-1", "good-2"]) await pair.fleet.worker(id, { queue, scheduler: pair.two.grpc });
    await became("broken-1", ["quarantined"], queue);
    await pair.fleet.workerReason("broken-1", "QUARANTINED", BOUND_MS, {
      evidence: { peer: /^good-\d: 0 of \d+ failed$/, last_error: /^t-\d+\.\d+: DEVICE_LOST: no device$/ },
      commands: ["worker release broken-1"],
    });
    assert.match(String((await worker.line("worker.quarantined")).reason), /attempts failed \(100 %\)/);
    const { stdout } = await runMuster(pair.two.grpc, ["workers"]);
    assert.match(stdout, /broken-1\tready\tquarantined: \d+ of \d+ attempts failed \(100 %\)/);
    const top = await runMuster(pair.two.grpc, ["top"]);
    assert.match(top.stdout, /^broken-1 .*quarantined: /m);
    const doctor = await runMuster(pair.two.grpc, ["doctor"]);
    assert.match(doctor.stdout, /workers\.quarantined.*broken-1/);

    // The quarantine moves with the worker, and outlasts the scheduler that decided it.
    const mark = worker.mark();
    await pair.one.program.end("SIGKILL");
    proxy.retarget(pair.two.grpc);
    proxy.cut();
    await worker.line("worker.reconnected", () => true, { after: mark });
    await pair.fleet.restart(pair.one, ARGS);
    await pair.fleet.workerReason("broken-1", "QUARANTINED", BOUND_MS);
    assert.deepEqual(await story("broken-1"), ["quarantined"]);

    // Through the other scheduler; it is as broken as before.
    const released = await runMuster(pair.one.grpc, [
      "worker",
      "release",
      "broken-1",
      "--reason",
      "new driver",
    ]);
    assert.equal(released.stdout, "broken-1 is not quarantined\n", released.stderr);
    await became("broken-1", ["quarantined", "released", "quarantined"], queue);
    rmSync(broken.path);
    await became("broken-1", ["quarantined", "released", "quarantined", "probe_succeeded"], queue);
    assert.equal((await pair.fleet.workerState("broken-1")).quarantine, undefined);
  });

  it("F35: the last worker of a queue is not quarantined, and ends its quarantine when it becomes the last", async () => {
    const broken = pair.fleet.gate();
    writeFileSync(broken.path, "");
    const env = { BROKEN: broken.path };
    await pair.fleet.worker("only-1", { queue: "only", env, scheduler: pair.one.grpc });
    // The same type in another queue: a peer that cannot take its place.
    await pair.fleet.worker("peer-1", { queue: "peers", scheduler: pair.two.grpc });
    for (const handle of await render("peers", 12)) await handle.result();
    const tasks = await render("only", 12);
    for (const { id } of tasks) await pair.fleet.ran(id, 2);
    assert.deepEqual(await story("only-1"), []);
    const second = await pair.fleet.worker("second-1", { queue: "only", scheduler: pair.two.grpc });
    await became("only-1", ["quarantined"]);
    for (const handle of tasks) {
      await handle.result();
      assert.equal((await pair.fleet.task(handle.id)).state, TaskState.SUCCEEDED);
    }
    await second.end("SIGTERM");
    await became("only-1", ["quarantined", "last_worker"]);
  });
});

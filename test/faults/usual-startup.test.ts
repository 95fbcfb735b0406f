import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { H } from "../support/fleet/fleet.ts";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { RawWorker } from "../support/peers/raw-worker.ts";
import { until } from "../support/waits.ts";

const POOL = "models";

describe("F44: workers that are starting, after earlier starts", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  /** Registers with phases at these seconds of its process. */
  function start(address: string, workerId: string, reachedS: Readonly<Record<string, number>>) {
    const startupPhases = Object.entries(reachedS).map(([phase, atS]) => ({
      phase,
      elapsed: durationFromMs(atS * 1_000),
    }));
    const ready = "ready" in reachedS;
    return RawWorker.connect(address, {
      workerId,
      hello: { startupPhases, ready, pool: POOL, queues: ["models"], taskTypes: [{ taskType: "infer" }] },
    });
  }

  it("are said to be ready in the usual time, also by a scheduler that did not see the earlier starts", async () => {
    for (const readyS of [640, 700, 660, 9_000]) {
      const worker = await start(pair.two.grpc, "model-1", {
        ...{ boot: 0, "custom:weights": 40, registered: 41 },
        ready: readyS,
      });
      worker.send({ case: "goodbye", value: { reason: "finished" } });
      worker.end();
      await worker.ended;
      // The next process of the id would have to wait for one that still lives in the database.
      await until("its session has ended", async () => {
        const { worker: last } = await pair.atOne.fleet.getWorker({ workerId: "model-1" });
        return last?.goneTime;
      });
    }
    await pair.two.program.end("SIGKILL");
    const task = await pair.atOne.submit("infer", null, { queue: "models" });
    const starting = { boot: 0, "custom:weights": 30, registered: 31 };
    const own = await start(pair.one.grpc, "model-1", starting);
    const usual = (rest: string) => new RegExp(`usually ready ${rest}, so in about \\d+`);
    // From the last phase to ready: the median of 599, 619, 659 and 8,959 s.
    const after = "11 min after registered \\(median of 4 earlier starts";
    const waits = await pair.fleet.taskReason(task.id, "WORKERS_STARTING", 2 * H);
    assert.match(waits.reason.summary, usual(`${after}\\)`));
    const other = await start(pair.one.grpc, "model-2", starting);
    const reason = await until("the other worker is explained", async () => {
      const { explanation } = await pair.atOne.fleet.explainWorker({ workerId: "model-2" });
      return explanation?.reasons.find(({ code }) => code === "STARTING");
    });
    assert.match(reason.summary, usual(`${after} of pool ${POOL}\\)`));
    assert.ok(reason.evidence.some(({ key }) => key === "usual_startup"));
    assert.match(
      await pair.muster("worker", "model-1"),
      new RegExp(`^startup\\s+${usual(`${after}\\)`).source}`, "m"),
    );
    const { workers } = await pair.atOne.fleet.listWorkers({});
    assert.deepEqual([...new Set(workers.map(({ usualStartup }) => usualStartup))], [""], "not in lists");
    for (const worker of [own, other]) worker.cut();
    await task.cancel("test over");
    await pair.fleet.restart(pair.two);
  });
});

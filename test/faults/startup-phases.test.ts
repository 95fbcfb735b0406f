import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Fleet, H } from "../support/fleet.ts";
import { killAll } from "../support/program.ts";

describe("a startup phase that failed", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start();
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  /** The worker's startup phases in the event feed, as `phase outcome detail`. */
  async function feed(workerId: string): Promise<string[]> {
    const { events } = await fleet.client.fleet.listEvents({ workerId, pageSize: 100 });
    return events
      .filter(({ name }) => name === "worker.startup.phase")
      .map(({ attributes: { phase, outcome, detail } }) =>
        [phase, outcome, detail].filter(Boolean).join(" "),
      );
  }

  for (const [preflight, phase, why] of [
    ["phase", "custom:weights", "no such weights"],
    ["plain", "preflight", "the driver is too old"],
  ] as const) {
    it(`is the last one in feed, log and worker when preflight throws (${preflight})`, async () => {
      const id = `preflight-${preflight}`;
      const worker = await fleet.worker(id, {
        file: "preflight.ts",
        env: { PREFLIGHT: preflight },
        waitReady: false,
      });
      assert.equal((await worker.ended).code, 1);
      await fleet.workerSays(id, "FATAL", 2 * H);
      assert.equal((await feed(id)).at(-1), `${phase} failed ${why}`);
      const last = (await fleet.workerState(id)).startupPhases.at(-1);
      assert.deepEqual([last?.phase, last?.outcome, last?.detail], [phase, "failed", why]);
      const lines = fleet.scheduler.program.lines.filter(
        ({ event, worker_id }) => event === "worker.startup.phase" && worker_id === id,
      );
      const line = lines.at(-1);
      assert.deepEqual([line?.phase, line?.outcome, line?.detail], [phase, "failed", why]);
    });
  }

  it("does not read like a success when its name alone says that it failed", async () => {
    await fleet.worker("preflight-cache", { file: "preflight.ts", env: { PREFLIGHT: "cache" } });
    const { startupPhases } = await fleet.workerState("preflight-cache");
    const failed = startupPhases.find(({ phase }) => phase === "cache_preflight_failed");
    assert.equal(failed?.outcome, "failed");
    assert.ok((await feed("preflight-cache")).includes("cache_preflight_failed failed"));
  });
});

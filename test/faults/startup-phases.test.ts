import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";
import { within } from "../support/waits.ts";

/** A process that fails before it has registered dials for its report. */
const REPORTED_MS = 5_000;

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

  /** Events are written in batches, after the worker has been answered. */
  async function fed(workerId: string, entry: string): Promise<string[]> {
    const { value } = await within(`the feed has "${entry}"`, REPORTED_MS, async () => {
      const entries = await feed(workerId);
      return entries.includes(entry) ? entries : undefined;
    });
    return value;
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
      await fleet.workerReason(id, "FATAL", REPORTED_MS);
      const entry = `${phase} failed ${why}`;
      assert.equal((await fed(id, entry)).at(-1), entry);
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
    await fed("preflight-cache", "cache_preflight_failed failed");
    const { value: failed } = await within("the phase is the worker's", REPORTED_MS, async () => {
      const { startupPhases } = await fleet.workerState("preflight-cache");
      return startupPhases.find(({ phase }) => phase === "cache_preflight_failed");
    });
    assert.equal(failed.outcome, "failed");
  });
});

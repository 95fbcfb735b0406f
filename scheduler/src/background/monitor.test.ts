import assert from "node:assert/strict";
import { test } from "node:test";
import { recordedLog } from "../dispatch/testing/recorded-log.ts";
import type { ClassDepth, FleetCounts, StuckAttempts } from "../store/store.ts";
import { Monitor } from "./monitor.ts";

/** The names of the log's events of one run over these numbers. */
async function run(parts: { fleet?: Partial<FleetCounts>; depths?: ClassDepth[]; stuck?: StuckAttempts }) {
  const { log, events } = recordedLog();
  let launches = 0;
  await new Monitor({
    log,
    classes: { load: async () => undefined, get: () => undefined },
    launches: { monitor: async () => void launches++ },
    store: {
      depths: async () => parts.depths ?? [],
      fleetCounts: async () => ({ ...NO_WORKERS, ...parts.fleet }),
      stuckAttempts: async () => parts.stuck ?? { count: 0, attempts: [] },
    },
  }).runOnce();
  assert.equal(launches, 1, "launches are monitored in every run");
  return events;
}

const NO_WORKERS = { workers: 0, ready: 0, gpus: 0, busyGpus: 0 } as FleetCounts;

test("nothing is logged without work and without workers", async () => {
  assert.deepEqual(await run({}), []);
});

test("one line sums up, and a warning names what is stuck", async () => {
  assert.deepEqual(await run({ fleet: { workers: 1 } }), ["monitor"]);
  assert.deepEqual(await run({ fleet: { workers: 1 }, stuck: { count: 1, attempts: [] } }), [
    "monitor",
    "tasks.stuck",
  ]);
});

import assert from "node:assert/strict";
import { after, it } from "node:test";
import { killAll } from "../support/programs/program.ts";
import { runChaos } from "./chaos.ts";
import { schedule } from "./schedule.ts";

after(killAll);

it("gives the same faults for the same seed", () => {
  const size = { workers: 5, schedulers: 2 };
  assert.deepEqual(schedule(7, 60_000, size), schedule(7, 60_000, size));
  assert.notDeepEqual(schedule(7, 60_000, size), schedule(8, 60_000, size));
});

it("loses nothing and decides once in a short run", async (t) => {
  const report = await runChaos({
    seed: 20,
    lengthMs: 15_000,
    workers: 4,
    schedulers: 2,
    lanes: 3,
    least: { tasks: 51, ticks: 11 },
    say: (line) => t.diagnostic(line),
  });
  assert.deepEqual(report.violations, []);
  assert.ok(report.accepted > 50, `only ${report.accepted} tasks were accepted`);
  assert.ok(report.ticks > 10, `only ${report.ticks} ticks were submitted`);
});

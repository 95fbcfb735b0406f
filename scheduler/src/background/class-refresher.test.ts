import assert from "node:assert/strict";
import { test } from "node:test";
import { ClassRefresher } from "./class-refresher.ts";

for (const forgotten of [[], [3, 4]]) {
  test(`${forgotten.length} forgotten classes`, async () => {
    const calls: string[] = [];
    await new ClassRefresher({
      admission: { forgetClasses: (ids) => void calls.push(`admission ${ids.join()}`) },
      classes: { refresh: async () => forgotten },
      counters: { classes: { forget: (ids) => void calls.push(`counters ${ids.join()}`) } },
      traces: { forget: (ids) => void calls.push(`traces ${ids.join()}`) },
      dispatcher: { pump: () => void calls.push("pump") },
    }).runOnce();
    assert.deepEqual(
      calls,
      forgotten.length > 0 ? ["admission 3,4", "counters 3,4", "traces 3,4", "pump"] : ["pump"],
    );
  });
}

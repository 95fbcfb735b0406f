import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { recordedLog } from "../dispatch/testing/recorded-log.ts";
import { circuitLock } from "../domain/tasks/limits/circuit.ts";
import { Counters } from "../telemetry/metrics/counters.ts";
import { KeyAuditor } from "./key-auditor.ts";

describe("key auditor", () => {
  const run = async (lead: boolean, confirmed: readonly string[]) => {
    const { log, events } = recordedLog();
    const counters = new Counters();
    const counted: string[] = [];
    const store = {
      lead: async (name: string) => lead && name === "concurrency-keys",
      keyDifferences: async () => ["a", "b"].map((key) => ({ key, held: 2, tasks: 1 })),
      correctKey: async (key: string) => {
        counted.push(key);
        return confirmed.includes(key) ? { key, held: 2, tasks: 1 } : undefined;
      },
    };
    await new KeyAuditor({ store, schedulerId: "s-1", counters, log }).runOnce();
    return { events, counted, corrected: counters.keyCountsCorrected };
  };

  it("logs and counts the keys that a second count finds different, too", async () => {
    assert.deepEqual(await run(true, ["b"]), {
      events: ["concurrency_key.count_corrected"],
      counted: ["a", "b"],
      corrected: 1,
    });
  });

  it("names a circuit by its key, and not by the key that only the store uses", async () => {
    const lines: unknown[] = [];
    const log = { error: (_: string, fields?: object) => void lines.push(fields) };
    const counted = { key: circuitLock("provider").key, held: 2, tasks: 1 };
    const store = {
      lead: async () => true,
      keyDifferences: async () => [counted],
      correctKey: async () => counted,
    };
    await new KeyAuditor({ store, schedulerId: "s-1", counters: new Counters(), log }).runOnce();
    assert.deepEqual(lines, [{ circuit: "provider", counted: 2, tasks: 1 }]);
  });

  it("leaves it to the scheduler that has the lead", async () => {
    assert.deepEqual(await run(false, ["a"]), { events: [], counted: [], corrected: 0 });
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { HelloSchema } from "@muster/protocol";
import { Refusal } from "../../../domain/errors.ts";
import { toRegistration } from "./hello.ts";

const UUID = "6F9619FF-8B86-D011-B42D-00C04FC964FF";

function refusal(run: () => unknown): Refusal {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof Refusal, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: "it was not refused" });
}

describe("a worker's hello", () => {
  const hello = (fields: MessageInitShape<typeof HelloSchema> = {}) =>
    create(HelloSchema, {
      protocolVersion: 1,
      workerId: "w",
      sessionId: UUID,
      slotCount: 1,
      taskTypes: [{ taskType: "t" }],
      ...fields,
    });

  it("register it", () => {
    const registration = toRegistration(
      hello({ startupPhases: [{ phase: "ready" }], inFlight: [{ attemptId: "t-1.2" }, { attemptId: "x" }] }),
    );
    assert.equal(registration.uuid, UUID.toLowerCase());
    assert.deepEqual(registration.hello.queues, ["default"]);
    assert.equal(registration.ready, true);
    assert.deepEqual(registration.inFlight, [{ taskId: 1, epoch: 2 }]);
  });

  it("name capacities, and what is wrong with them", () => {
    const capacities = { gpu_memory_mb: 24_000n, licences: 0n };
    assert.deepEqual(toRegistration(hello({ capacities })).hello.capacities, {
      gpu_memory_mb: 24_000,
      licences: 0,
    });
    const fault = (given: Record<string, bigint>) =>
      refusal(() => toRegistration(hello({ capacities: given }))).message;
    assert.match(fault({ slots: 4n }), /hello\.capacities "slots" is the slot_count; leave it out/);
    assert.match(fault({ gpu: -1n }), /hello\.capacities\["gpu"\] -1 is not between 0 and 1000000000000/);
    assert.match(fault({ "": 1n }), /is no name of a capacity/);
  });

  it("name a build, which takes no place in a record when there is none", () => {
    assert.equal(toRegistration(hello({ buildId: "1.4.2+rc1" })).hello.buildId, "1.4.2+rc1");
    assert.ok(!("buildId" in toRegistration(hello()).hello));
    assert.match(
      refusal(() => toRegistration(hello({ buildId: "-x" }))).message,
      /^hello\.build_id "-x" must start with/,
    );
  });

  it("keep the settings that fit, and cut the rest", () => {
    const setting = { name: "n".repeat(200), value: `v\0${"v".repeat(300)}`, source: "option", variable: "" };
    const { settings = [] } = toRegistration(hello({ settings: Array.from({ length: 101 }, () => setting) }));
    assert.equal(settings.length, 100);
    assert.deepEqual(
      [settings[0]?.name.length, settings[0]?.value.length, settings[0]?.value.includes("\0")],
      [128, 256, false],
    );
  });

  it("are refused as a hello with every fault at once, and with both versions", () => {
    const refused = refusal(() =>
      toRegistration(hello({ workerId: "", sessionId: "", slotCount: 0, taskTypes: [], prefetchCount: -1 })),
    );
    assert.deepEqual(
      refused.violations.map(({ field }) => field),
      ["worker_id", "session_id", "slot_count", "prefetch_count", "task_types"],
    );
    assert.match(
      refusal(() => toRegistration(hello({ protocolVersion: 2 }))).message,
      /version 2.*version 1/,
    );
  });

  it("may name no task type only while they drain", () => {
    assert.match(refusal(() => toRegistration(hello({ taskTypes: [] }))).message, /task_types has 0 entries/);
    assert.deepEqual(toRegistration(hello({ taskTypes: [], draining: true })).hello.types, []);
  });

  it("T13: are refused as a hello whose record would not fit into an answer, by the field's name", () => {
    const texts = (count: number, length: number) =>
      Array.from({ length: count }, (_, n) => `${n}`.padEnd(length, "x"));
    const map = (count: number, length: number) =>
      Object.fromEntries(texts(count, length).map((name) => [name, name]));
    const cases: readonly [string, MessageInitShape<typeof HelloSchema>, RegExp][] = [
      ["labels", { labels: map(65, 3) }, /65 entries; at most 64/],
      ["labels", { labels: map(1, 257) }, /257 characters; at most 256/],
      ["labels", { labels: map(150_000, 6) }, /150000 entries; at most 64/],
      ["pool", { pool: "p".repeat(257) }, /257 characters; at most 256/],
      ["queues", { queues: texts(1_001, 10) }, /1001 entries; at most 1000/],
      ["resources", { resources: texts(1_001, 10) }, /1001 names .* at most 1000/],
      [
        "resources",
        { resources: texts(1_000, 256).map((name) => name.replaceAll("x", "字")) },
        /262144 bytes/,
      ],
      ["loadable_resources", { loadableResources: texts(1, 257) }, /257 characters; at most 256/],
      [
        "startup_phases",
        { startupPhases: texts(200, 10).map((phase) => ({ phase, attributes: map(10, 200) })) },
        /bytes of details and attributes; at most 262144/,
      ],
    ];
    for (const [field, fields, message] of cases) {
      const { violations } = refusal(() => toRegistration(hello(fields)));
      assert.deepEqual([violations[0]?.field, violations.length], [field, 1]);
      assert.match(violations[0]?.description ?? "", message);
    }
    assert.ok(
      toRegistration(
        hello({
          labels: map(64, 256),
          pool: "p".repeat(256),
          queues: texts(1_000, 128),
          resources: texts(1_000, 256),
          loadableResources: texts(1_000, 256),
        }),
      ),
    );
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { KillWorkerRequestSchema } from "@muster/protocol";
import { ago, member, NOW } from "../../../domain/explain/testing/fixture.ts";
import { ended, launch } from "../../../domain/explain/testing/made-facts.ts";
import type { LaunchRecord } from "../../../domain/workers/launch.ts";
import type { WorkerRecord } from "../../../domain/workers/worker.ts";
import type { StopRequest } from "../../../store/store.ts";
import { killHandlers } from "./kill-handlers.ts";

function setUp(fields: Partial<WorkerRecord> & { launch?: LaunchRecord }, recorded = true) {
  const asked: (StopRequest & { launchId: string })[] = [];
  const { record } = member({ record: fields });
  const { killWorker } = killHandlers(
    {
      store: { databaseTime: async () => NOW },
      launches: { silentAfterMs: 30_000 },
      launchStops: {
        request: async ({ launchId }, request) => {
          asked.push({ launchId, ...request });
          return recorded ? { ...request, number: 1, time: NOW } : undefined;
        },
      },
    },
    async () => record,
    async (id) => ({ id }),
  );
  const kill = (request: { reason?: string; graceMs?: number; restart?: boolean } = {}) => {
    const { graceMs, ...given } = request;
    const grace = graceMs === undefined ? {} : { grace: durationFromMs(graceMs) };
    const message = create(KillWorkerRequestSchema, { workerId: record.workerId, ...given, ...grace });
    return killWorker(message, { signal: new AbortController().signal, requestHeader: new Headers() });
  };
  return { kill, asked };
}

describe("KillWorker", () => {
  it("asks for the end of the launch, with 10 s of grace unless another is given", async () => {
    const { kill, asked } = setUp({ launch: launch() });
    assert.deepEqual(await kill({ reason: "hangs" }), { worker: { id: "l-1" } });
    await kill({ graceMs: 0, restart: true });
    assert.deepEqual(asked, [
      { launchId: "l-1", reason: "hangs", graceMs: 10_000, restart: false },
      { launchId: "l-1", reason: "asked by an operator", graceMs: 0, restart: true },
    ]);
  });

  it("reaches a process whose session was given up", async () => {
    const { kill, asked } = setUp({ launch: launch(), goneTime: ago(1_000), goneReason: "lost" });
    await kill();
    assert.equal(asked.length, 1);
  });

  const refused: [string, Parameters<typeof setUp>[0], string, RegExp][] = [
    [
      "a worker without a supervisor",
      {},
      "WORKER_NOT_SUPERVISED",
      /no supervisor .+ reports worker w-1, .+ drain it with DrainWorker, or end its process on its host with `kill 0`/,
    ],
    [
      "a worker whose supervisor is silent",
      { launch: launch({ reportTime: ago(90_000) }) },
      "SUPERVISOR_SILENT",
      /muster run on box, has not reported for 90 s, .+ `kill 7`/,
    ],
    [
      "a worker that has ended",
      { launch: launch({ end: ended("fatal") }), goneTime: ago(5_000) },
      "WORKER_GONE",
      /w-1 has already ended \(fatal\)$/,
    ],
    [
      "a worker that is to be started again",
      { launch: launch({ end: { ...ended("fatal"), restartTime: ago(-60_000) } }), goneTime: ago(5_000) },
      "WORKER_GONE",
      /its supervisor starts it again in 60 s: ask again then/,
    ],
    [
      "an unsupervised worker that has ended",
      { goneTime: ago(5_000), goneReason: "lost" },
      "WORKER_GONE",
      /w-1 has already ended \(lost\)$/,
    ],
  ];
  for (const [name, record, reason, message] of refused) {
    it(`refuses ${name}`, async () => {
      const { kill, asked } = setUp(record);
      await assert.rejects(kill(), (error: Error & { reason?: string }) => {
        assert.equal(error.reason, reason);
        assert.match(error.message, message);
        return true;
      });
      assert.deepEqual(asked, []);
    });
  }

  it("refuses a worker that ends meanwhile, and a grace out of bounds", async () => {
    await assert.rejects(setUp({ launch: launch() }, false).kill(), /has already ended/);
    const { kill } = setUp({ launch: launch() });
    await assert.rejects(kill({ graceMs: 86_400_001 }), /grace 86400.001 s is not between 0 and 86400 s/);
    await assert.rejects(kill({ graceMs: -1 }), /grace -0.001 s/);
  });
});

import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Metadata, type ServerErrorResponse, status } from "@grpc/grpc-js";
import { WorkerMessageSchema } from "@muster/protocol";
import { systemClock } from "../clock.ts";
import { serveWorkerStream, type WorkerStreamParts } from "./worker-stream.ts";

describe("WorkerStream", () => {
  it("cuts off a worker that sends on and does not read the answers", async () => {
    // Takes messages and never has sent one, as a stream whose window is used up.
    const stream = new Duplex({ objectMode: true, read: () => undefined, write: () => undefined });
    const call = Object.assign(stream, { getPeer: () => "test", metadata: new Metadata() });
    const closed: string[] = [];
    const session = { workerId: "w" };
    const parts = {
      sessions: {
        open: async () => ({ session, decisions: [] }),
        heartbeat: () => undefined,
        closed: async (_session: unknown, _link: unknown, reason: string) => void closed.push(reason),
      },
      doorman: { admitted: () => undefined },
      clock: systemClock,
      leases: { heartbeatMs: 5_000, leaseMs: 30_000, graceMs: 15_000, acceptDeadlineMs: 10_000 },
      watch: { phasesMs: {} },
      sizes: { maxMessageBytes: 4_194_304, maxResultBytes: 1_048_576 },
      schedulerId: "s",
      helloTimeoutMs: 10_000,
      onWork: () => undefined,
    } as unknown as WorkerStreamParts;
    const ended = new Promise<ServerErrorResponse>((resolve) => stream.on("error", resolve as () => void));
    const say = (kind: Parameters<typeof create<typeof WorkerMessageSchema>>[1]) =>
      stream.push(create(WorkerMessageSchema, kind));

    serveWorkerStream(call as unknown as Parameters<typeof serveWorkerStream>[0], parts);
    say({
      kind: {
        case: "hello",
        value: {
          ...{ protocolVersion: 1, workerId: "w", sessionId: crypto.randomUUID(), slotCount: 1 },
          types: [{ type: "t" }],
        },
      },
    });
    for (let beat = 1n; beat <= 11_000n; beat++)
      say({ kind: { case: "heartbeat", value: { sequence: beat } } });
    const end = await ended;
    assert.equal(end.code, status.RESOURCE_EXHAUSTED);
    assert.match(end.message, /10001 messages wait for the worker to read them, at most 10000 may/);
    assert.equal(closed.length, 1, "told once");
    assert.equal(stream.writableLength, 10_001, "nothing more is written");
  });
});

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { DescMethod } from "@bufbuild/protobuf";
import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import { FleetService, grpcMethodDefinition, TaskService, WorkerService } from "@muster/protocol";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { cutAll, RawWorker } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, type TestScheduler } from "../support/programs/scheduler.ts";

const PRELOAD = new URL("../support/preload/faulty-calls.ts", import.meta.url).href;

/** One of each kind of call. */
const METHODS: readonly DescMethod[] = [
  TaskService.method.listTasks,
  FleetService.method.watchEvents,
  TaskService.method.submitStream,
  WorkerService.method.workerStream,
];

describe("protocol: faults of the scheduler's own", () => {
  let db: TestDatabase;
  let scheduler: TestScheduler;

  before(async () => {
    db = await createDatabase();
    scheduler = await startTestScheduler({
      databaseUrl: db.url,
      env: { NODE_OPTIONS: `--import ${PRELOAD}` },
    });
  });
  after(async () => {
    cutAll();
    await killAll();
    await db.drop();
  });

  it("T1: in a call end that call with INTERNAL, are logged and counted, and harm no other", async () => {
    const bystander = await RawWorker.connect(scheduler.grpc, { workerId: "bystander" });
    let faults = 0;
    for (const fault of ["thrown", "rejected", "ticked"]) {
      for (const method of METHODS) {
        const mark = scheduler.program.mark();
        const { code, details } = await end(scheduler.grpc, grpcMethodDefinition(method).path, fault);
        assert.equal(code, status.INTERNAL, `${method.name} ${fault}: ${details}`);
        assert.equal(details, "internal error; the scheduler's log has the cause");
        const line = await scheduler.program.line("rpc.failed", () => true, { after: mark });
        assert.equal(line.method, method.name);
        assert.equal(Object(line.error).message, `injected: ${fault}`);
        faults += 1;
      }
    }
    const sent = bystander.beat();
    await bystander.next("heartbeatAck", ({ sequence }) => sequence === sent);
    const metrics = await (await fetch(`${scheduler.http}/metrics`)).text();
    const counted = [...metrics.matchAll(/^muster_internal_errors_total\{.*method="\w+".*\} (\d+)/gm)];
    assert.equal(
      counted.reduce((sum, [, count]) => sum + Number(count), 0),
      faults,
    );
  });

  it("T1: outside of every call end the process with 70 and a last line that has it", async () => {
    scheduler.program.kill("SIGWINCH");
    assert.deepEqual(await scheduler.program.ended, { code: 70, signal: null });
    const last = scheduler.program.lines.at(-1);
    assert.equal(last?.event, "scheduler.crashed");
    assert.equal(last?.level, "error");
    assert.equal(Object(last?.error).message, "injected: outside of every call");
  });
});

/** How a call with this fault ends. */
function end(address: string, path: string, fault: string): Promise<{ code: status; details: string }> {
  const client = new Client(address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  const metadata = new Metadata();
  metadata.set("x-fault", fault);
  const asIs = (bytes: Buffer) => bytes;
  const options = { deadline: Date.now() + 10_000 };
  return new Promise((resolve) => {
    const call = client.makeBidiStreamRequest(path, asIs, asIs, metadata, options);
    call.on("data", () => undefined);
    call.on("error", () => undefined);
    call.on("status", ({ code, details }) => {
      client.close();
      resolve({ code, details });
    });
    call.write(Buffer.alloc(0));
    call.end();
  });
}

import assert from "node:assert/strict";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { exportTo } from "../support/telemetry/otlp.ts";
import { within } from "../support/waits.ts";

/** No server listens there. */
const REFUSES = "http://127.0.0.1:1";

/** Two exports of two seconds one after the other, at worst. */
const HELD_UP_MS = 4_000;

describe("a collector that cannot be reached", { concurrency: true }, () => {
  let fleet: Fleet;
  /** Takes connections and says nothing. */
  let silent: Server;
  const sockets = new Set<Socket>();

  before(async () => {
    silent = createServer((socket) => sockets.add(socket.on("error", () => undefined)));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    fleet = await Fleet.start();
  });

  after(async () => {
    await killAll();
    for (const socket of sockets) socket.destroy();
    silent.close();
    await fleet.stop();
  });

  for (const protocol of ["grpc", "http/protobuf"] as const) {
    for (const how of ["refuses", "is silent"] as const) {
      it(`that ${how} over ${protocol} holds muster submit up for seconds, with one warning`, async () => {
        const endpoint =
          how === "refuses" ? REFUSES : `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
        const cli = Program.start("muster submit", "../../cli/bin/muster.js", {
          base: import.meta.url,
          args: ["submit", "unserved-type", "{}", "--scheduler", fleet.scheduler.grpc],
          env: { ...exportTo(endpoint, "producer", protocol), OTEL_LOG_LEVEL: "" },
        });
        const { value: taskId } = await within("the task's id", 30_000, () => cli.stdout.trim() || undefined);
        assert.equal((await fleet.task(taskId)).taskType, "unserved-type");
        await within("the command's end", HELD_UP_MS, () => (cli.alive ? undefined : true));
        assert.deepEqual(await cli.ended, { code: 0, signal: null });
        assert.match(cli.stderr, /^warning: no trace was exported: .*\n$/);
        if (how === "refuses") assert.match(cli.stderr, /ECONNREFUSED/);
      });
    }
  }

  it("costs a worker no task, and is logged once", async () => {
    const env = {
      ...exportTo(REFUSES, "worker", "http/protobuf"),
      OTEL_EXPORTER_OTLP_TIMEOUT: "1000",
      OTEL_LOG_LEVEL: "",
    };
    const worker = await fleet.worker("untraced", { file: "traced.ts", env });
    for (let n = 0; n < 3; n++) await (await fleet.client.submit("work", {})).result();
    await within("the warning", 15_000, () => (worker.stderr.includes("MUSTER_OTEL") ? true : undefined));
    assert.equal((await worker.end()).code, 0);
    assert.equal(worker.stderr.match(/MUSTER_OTEL/g)?.length, 1, worker.stderr);
    assert.match(worker.stderr, /OpenTelemetry: .*ECONNREFUSED/);
  });
});

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Fleet } from "../support/fleet.ts";
import { OtlpReceiver } from "../support/otlp.ts";
import { killAll } from "../support/program.ts";

const ROOT = new URL("../../", import.meta.url);

/** The registry as its authors generate it; a dependency of the scheduler. */
const registry: Readonly<Record<string, unknown>> = createRequire(new URL("scheduler/src/main.ts", ROOT))(
  "@opentelemetry/semantic-conventions/incubating",
);
const known = new Set(
  Object.entries(registry).flatMap(([key, value]) => (key.startsWith("ATTR_") ? [value] : [])),
);

/** Names in the namespaces of the conventions, as the sources write them. */
const NAME = /"((?:messaging|rpc|db|server|client|error|service|host|process)\.[a-z_]+(?:\.[a-z_]+)*)"/g;

describe("OpenTelemetry's conventions", () => {
  let receiver: OtlpReceiver;
  let fleet: Fleet;

  before(async () => {
    receiver = await OtlpReceiver.start();
    fleet = await Fleet.start({ env: receiver.env("scheduler", "grpc") });
  });

  after(async () => {
    await killAll();
    await fleet.stop();
    await receiver.stop();
  });

  it("T44: every attribute that is named after them stands in their registry", () => {
    const used = new Map<string, string>();
    for (const folder of ["scheduler/src/telemetry", "worker-sdk/src/tracing"]) {
      for (const file of readdirSync(fileURLToPath(new URL(folder, ROOT)))) {
        if (!file.endsWith(".ts") || file.endsWith(".test.ts")) continue;
        const text = readFileSync(new URL(`${folder}/${file}`, ROOT), "utf8");
        if (file === "events.ts") continue;
        for (const [, name = ""] of text.matchAll(NAME)) used.set(name, `${folder}/${file}`);
      }
    }
    assert.ok(used.size > 10);
    assert.deepEqual(
      [...used].filter(([name]) => !known.has(name)),
      [],
    );
  });

  it("T44: two workers of one service are two instances, and a submit has one span that sends", async () => {
    const env = receiver.env("worker", "http/json");
    for (const id of ["first", "second"]) {
      await fleet.worker(id, { file: "traced.ts", queue: id, env });
    }
    const instances = new Set<string>();
    for (const queue of ["first", "second"]) {
      const { id } = await fleet.client.submit("work", {}, { queue });
      const run = await receiver.span(
        `run of ${id}`,
        ({ name, attributes }) => name.startsWith("run ") && attributes["muster.task.id"] === id,
      );
      assert.match(run.resource["service.instance.id"] ?? "", /^[0-9a-f-]{36}$/);
      assert.match(run.resource["service.version"] ?? "", /^\d+\.\d+\.\d+/);
      assert.match(run.schemaUrl, /^https:\/\/opentelemetry\.io\/schemas\/1\.\d+\.0$/);
      instances.add(run.resource["service.instance.id"] ?? "");
      await receiver.attempt(`${id}.1`);
      const spans = receiver.trace(run.traceId);
      const sends = spans.filter(({ attributes }) => attributes["messaging.operation.type"] === "send");
      assert.equal(sends.length, 1);
      assert.equal(sends[0]?.attributes["rpc.response.status_code"], "OK");
      assert.equal(sends[0]?.service, "scheduler");
      const { resource } = sends[0] ?? { resource: {} };
      assert.ok(resource["service.instance.id"] && resource["service.version"]);
    }
    assert.equal(instances.size, 2);
  });
});

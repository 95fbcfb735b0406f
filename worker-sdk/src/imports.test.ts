import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { execPath } from "node:process";
import { test } from "node:test";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Prints the listeners that an import adds to the process, and how many timers it starts. */
const PROBE = `
const listeners = () => Object.fromEntries(process.eventNames().map((name) => [String(name), process.listenerCount(name)]));
const before = listeners();
const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
await import(process.argv[1]);
const added = Object.entries(listeners()).filter(([name, count]) => count !== (before[name] ?? 0));
console.log(JSON.stringify([added, timers()]));
`;

async function importing(entry: string, probe = PROBE): Promise<unknown> {
  const flags = ["--conditions=muster-source", "--input-type=module", "--eval", probe, entry];
  const { stdout } = await run(execPath, flags, { cwd: import.meta.dirname });
  return JSON.parse(stdout);
}

for (const entry of [
  "@muster/worker",
  "@muster/worker/task",
  "@muster/worker/client",
  "@muster/worker/otel",
  "@muster/worker/testing",
]) {
  test(`importing ${entry} installs nothing in the process`, async () => {
    assert.deepEqual(await importing(entry), [[], 0]);
  });
}

/** Prints the packages that an import loads. */
const LOADED = `
import { registerHooks } from "node:module";
const loaded = new Set();
registerHooks({
  load(url, context, next) {
    loaded.add(/.*[/]node_modules[/]((?:@[^/]+[/])?[^/]+)/.exec(url)?.[1] ?? (url.startsWith("node:") ? url : ""));
    return next(url, context);
  },
});
await import(process.argv[1]);
console.log(JSON.stringify([...loaded]));
`;

/** Prints the files of this package that an import loads. */
const LOADED_OWN = `
import { registerHooks } from "node:module";
const loaded = [];
registerHooks({
  load(url, context, next) {
    const [, file] = /[/]worker-sdk[/]src[/](.*)/.exec(url) ?? [];
    if (file) loaded.push(file);
    return next(url, context);
  },
});
await import(process.argv[1]);
console.log(JSON.stringify(loaded));
`;

test("importing @muster/worker loads no gRPC: the connection's thread has its own, and a start takes half as long", async () => {
  const loaded = await importing("@muster/worker", LOADED);
  assert.ok(Array.isArray(loaded) && loaded.includes("pino"), String(loaded));
  const dear = ["@grpc/grpc-js", "@bufbuild/protobuf", "pino-pretty", "node:http", "node:http2"];
  assert.deepEqual(
    dear.filter((each) => loaded.includes(each)),
    [],
  );
});

test("importing @muster/worker loads nothing for runs without a scheduler", async () => {
  const loaded = await importing("@muster/worker", LOADED_OWN);
  assert.ok(Array.isArray(loaded) && loaded.includes("worker.ts"), String(loaded));
  const wanted = ["local/invocation.ts", "local/parts.ts"];
  assert.deepEqual(
    loaded.filter((file) => /^(local|test-kit)\//.test(file) && !wanted.includes(file)),
    [],
  );
});

test("importing @muster/worker/task loads nothing but checks of names: a definition needs neither handler nor gRPC", async () => {
  const loaded = await importing("@muster/worker/task", LOADED);
  assert.ok(Array.isArray(loaded));
  assert.deepEqual(
    loaded.filter((name) => !["", "node:util", "node:process"].includes(name)),
    [],
  );
});

test("importing @muster/worker/init listens for errors, which it is for", async () => {
  assert.deepEqual(await importing("@muster/worker/init"), [[["uncaughtExceptionMonitor", 1]], 0]);
});

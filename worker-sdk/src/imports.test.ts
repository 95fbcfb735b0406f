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
  "@muster/worker/storage",
  "@muster/worker/s3",
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

test("importing @muster/worker loads nothing that runs isolated handlers", async () => {
  const loaded = await importing("@muster/worker", LOADED_OWN);
  assert.ok(Array.isArray(loaded));
  const wanted = ["isolate/in-child.ts", "isolate/isolate-options.ts", "isolate/isolated-handlers.ts"];
  assert.deepEqual(
    loaded.filter((file) => /^(isolate|command)\//.test(file) && !wanted.includes(file)),
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

test("importing @muster/worker/s3 loads no package: its client, which is optional, is loaded with the first request", async () => {
  const loaded = await importing("@muster/worker/s3", LOADED);
  assert.ok(Array.isArray(loaded));
  assert.deepEqual(
    loaded.filter((name) => name !== "" && !name.startsWith("node:")),
    [],
  );
});

/** Prints what a store says whose package cannot be found. */
const WITHOUT_CLIENT = `
import { registerHooks } from "node:module";
registerHooks({
  resolve(specifier, context, next) {
    return next(specifier === "aws4fetch" ? "aws4fetch-is-not-installed" : specifier, context);
  },
});
const { S3Store } = await import(process.argv[1]);
const store = new S3Store({ bucket: "acme", credentials: { accessKeyId: "a", secretAccessKey: "b" } });
console.log(JSON.stringify(await store.find("key").catch(({ code, message }) => [code, message])));
`;

test("an S3 store without its package says what to install", async () => {
  assert.deepEqual(await importing("@muster/worker/s3", WITHOUT_CLIENT), [
    "S3_CLIENT_MISSING",
    "S3Store needs the package aws4fetch, which is not installed: run `npm install aws4fetch`.",
  ]);
});

test("importing @muster/worker/init listens for errors, which it is for", async () => {
  assert.deepEqual(await importing("@muster/worker/init"), [[["uncaughtExceptionMonitor", 1]], 0]);
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { systemClock } from "../clock.ts";
import { WorkerStartedError } from "../errors.ts";
import type { ToLink } from "../link/messages.ts";
import { silentLogger } from "../logging/logger.ts";
import { OptionsError } from "../options/options-error.ts";
import { type LoadRequest, ResourceLoaders } from "./resource-loaders.ts";
import { ResourceLoading } from "./resource-loading.ts";
import { Resources } from "./resources.ts";

function setUp(loaders = new ResourceLoaders()) {
  const sent: ToLink[] = [];
  const resources = new Resources([], loaders, (names) => sent.push({ kind: "resources", resources: names }));
  const link = { send: (message: ToLink) => void sent.push(message) };
  const loading = new ResourceLoading({ loaders, resources, link, log: silentLogger, clock: systemClock });
  const states = () => {
    const last = sent.findLast((message) => message.kind === "resourceStates");
    return (last?.states ?? []).map(({ resource, loading: busy, failures, error }) => ({
      resource,
      busy,
      failures,
      error,
    }));
  };
  return { loaders, resources, loading, states };
}

describe("resources on request", () => {
  it("are loaded once however often they are requested, and reported meanwhile", async () => {
    const { loaders, resources, loading, states } = setUp();
    const { promise, resolve } = Promise.withResolvers<void>();
    const asked: LoadRequest[] = [];
    loaders.register("model:*", {
      load: (request) => {
        asked.push(request);
        return promise;
      },
    });
    const first = loading.prepare("model:x", 125);
    await loading.prepare("model:x", 126);
    assert.deepEqual(states(), [{ resource: "model:x", busy: true, failures: 0, error: "" }]);
    assert.equal(resources.has("model:x"), false);
    resolve();
    await first;
    assert.equal(resources.has("model:x"), true);
    assert.deepEqual(states(), []);
    await loading.prepare("model:x", 1);
    assert.deepEqual(
      asked.map(({ resource, waitingTasks }) => [resource, waitingTasks]),
      [["model:x", 125]],
    );
  });

  it("that fail are reported with the error and the count, and are tried again on request", async () => {
    const { loaders, resources, loading, states } = setUp();
    let tries = 0;
    loaders.register("model:x", {
      load: () => {
        tries += 1;
        if (tries < 3) throw new RangeError(`try ${tries}`);
      },
    });
    await loading.prepare("model:x", 1);
    await loading.prepare("model:x", 1);
    assert.deepEqual(states(), [
      { resource: "model:x", busy: false, failures: 2, error: "RangeError: try 2" },
    ]);
    await loading.prepare("model:x", 1);
    assert.deepEqual([states(), resources.has("model:x")], [[], true]);
    await loading.prepare("model:y", 1);
    assert.match(states()[0]?.error ?? "", /this worker has no loader for model:y/);
  });

  it("are released, also while a loader that ignores its signal is loading them", async () => {
    const { loaders, resources, loading } = setUp();
    const released: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    loaders.register("model:x", {
      load: () => promise,
      release: ({ resource, reason }) => released.push(`${resource} ${reason}`),
    });
    await loading.release("model:x", "never loaded");
    const under = loading.prepare("model:x", 1);
    await loading.release("model:x", "no longer wanted");
    resolve();
    await under;
    assert.deepEqual([resources.has("model:x"), released], [false, ["model:x no longer wanted"]]);
    await loading.prepare("model:x", 1);
    await loading.release("model:x", "room");
    assert.deepEqual([resources.has("model:x"), released.at(-1)], [false, "model:x room"]);
  });

  it("have the loader of their own name, then of the longest prefix, and * is every resource's", async () => {
    const asked: string[] = [];
    const { loaders, loading } = setUp();
    for (const name of ["*", "model:*", "model:x"]) {
      loaders.register(name, { load: ({ resource }) => asked.push(`${name} ${resource}`) });
    }
    for (const resource of ["model:x", "model:y", "cache:z"]) await loading.prepare(resource, 1);
    assert.deepEqual(asked, ["model:x model:x", "model:* model:y", "* cache:z"]);
    assert.deepEqual([loaders.any, loaders.names], [true, []]);
    const named = new ResourceLoaders();
    assert.deepEqual([named.any, named.names], [false, []]);
    named.register("model:*", { load: () => undefined });
    assert.deepEqual([named.any, named.names], [true, ["model:*"]]);
  });

  it("refuses a name or a loader that is not valid, or that is taken", () => {
    const loaders = new ResourceLoaders();
    const load = () => undefined;
    assert.throws(() => loaders.register("", { load }), OptionsError);
    assert.throws(() => loaders.register("x".repeat(257), { load }), /1 to 256 characters/);
    loaders.register("model:x", { load });
    assert.throws(() => loaders.register("model:x", { load }), /is registered already/);
    loaders.seal();
    assert.throws(() => loaders.register("model:y", { load }), WorkerStartedError);
  });
});

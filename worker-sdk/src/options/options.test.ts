import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { SDK_NAME, SDK_VERSION } from "../version.ts";
import { compileOptions } from "./options.ts";
import { OptionsError } from "./options-error.ts";

const tasks = { t: () => 1 };

test("an option wins over its variable, a variable over the default", () => {
  const defaults = compileOptions({ tasks }, {});
  assert.deepEqual(defaults.connection, {
    addresses: ["127.0.0.1:7070"],
    isDefaultAddress: true,
    token: undefined,
    tls: undefined,
  });
  assert.deepEqual(
    [
      defaults.registerTimeoutS,
      defaults.drainTimeoutS,
      defaults.concurrency,
      defaults.prefetch,
      defaults.logLevel,
    ],
    [90, 30, 1, 0, "info"],
  );
  assert.deepEqual([...defaults.warnS], []);
  const env = {
    MUSTER_SCHEDULER_ADDR: "a:1, b:2",
    MUSTER_TOKEN: "secret",
    WORKER_ID: "w",
    WORKER_REGISTER_TIMEOUT_S: "5",
    WORKER_MAX_CONCURRENCY: "8",
    WORKER_WARN_INFERENCE_S: "7",
    WORKER_WARN_MODEL_LOAD_S: "9",
    WORKER_LOG_LEVEL: "debug",
    MUSTER_LAUNCH_ID: "l-1",
  };
  const fromEnv = compileOptions({ tasks, warn: { inference: 3, upload: 4 } }, env);
  assert.deepEqual(fromEnv.connection.addresses, ["a:1", "b:2"]);
  assert.deepEqual(Object.fromEntries(fromEnv.warnS), { inference: 3, upload: 4, model_load: 9 });
  assert.deepEqual(
    [fromEnv.id, fromEnv.registerTimeoutS, fromEnv.concurrency, fromEnv.logLevel, fromEnv.launchId],
    ["w", 5, 8, "debug", "l-1"],
  );
  assert.equal(compileOptions({ tasks, concurrency: 2 }, env).concurrency, 2);
});

test("a build has the form of versions, commits and tags of images", () => {
  assert.equal(compileOptions({ tasks }, {}).buildId, "");
  const env = { MUSTER_BUILD_ID: "registry.example/ocr:1.4.2+rc1 " };
  assert.equal(compileOptions({ tasks }, env).buildId, "registry.example/ocr:1.4.2+rc1");
  assert.equal(compileOptions({ tasks, buildId: "1f2e3d" }, env).buildId, "1f2e3d");
  assert.throws(() => compileOptions({ tasks, buildId: "" }, env), /option buildId: "" must start with/);
  assert.throws(
    () => compileOptions({ tasks }, { MUSTER_BUILD_ID: "two words" }),
    /MUSTER_BUILD_ID: "two words" must start with a letter or digit and hold at most 128 of/,
  );
});

test("T37: a token is taken without the white space around it; an empty one is refused", () => {
  for (const token of ["secret\n", "secret\r\n", " secret\t"]) {
    assert.equal(compileOptions({ tasks }, { MUSTER_TOKEN: token }).connection.token, "secret");
    assert.equal(compileOptions({ tasks, token }, {}).connection.token, "secret");
  }
  assert.throws(() => compileOptions({ tasks }, { MUSTER_TOKEN: " \n" }), /MUSTER_TOKEN: is empty/);
  assert.throws(() => compileOptions({ tasks, token: "\n" }, {}), /option token: is empty/);
});

test("every fault is reported at once, with the source and the value, and no secret", () => {
  const env = {
    WORKER_MAX_CONCURRENCY: "many",
    WORKER_DRAIN_TIMEOUT_S: "-1",
    WORKER_LOG_LEVEL: "loud",
    MUSTER_TLS_CA: "/does/not/exist.pem",
    MUSTER_TOKEN: "two words",
  };
  const wrong = {
    scheduler: "http://x:1",
    tasks: { "bad type": () => 1 },
    prefetch: 1.5,
    queues: [],
    id: "?",
  };
  assert.throws(
    () => compileOptions(wrong, env),
    (error) => {
      assert.ok(error instanceof OptionsError);
      const expected = [
        /option queues: is empty/,
        /option scheduler: "http:\/\/x:1" is not host:port/,
        /MUSTER_TOKEN: .*not shown/,
        /MUSTER_TLS_CA: cannot read "\/does\/not\/exist\.pem"/,
        /option tasks: "bad type" must match/,
        /option id: "\?" must match/,
        /WORKER_MAX_CONCURRENCY: "many" is not an integer from 1 to 10000/,
        /option prefetch: 1\.5 is not an integer from 0 to 10000/,
        /WORKER_DRAIN_TIMEOUT_S: "-1" is not a number from 0/,
        /WORKER_LOG_LEVEL: "loud" is not one of debug, info, warn, error, silent/,
      ];
      assert.equal(error.faults.length, expected.length, error.message);
      for (const pattern of expected) assert.match(error.message, pattern);
      assert.doesNotMatch(error.message, /two words/);
      return true;
    },
  );
});

test("Hello's version is the package's", () => {
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  assert.deepEqual([SDK_NAME, SDK_VERSION], [manifest.name, manifest.version]);
});

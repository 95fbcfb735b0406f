import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compression, FolderStore } from "../storage/index.ts";
import { effectiveSettings } from "./effective-settings.ts";
import { compileOptions } from "./options.ts";
import type { WorkerOptions } from "./worker-options.ts";

function settings(options: WorkerOptions, env: Readonly<Record<string, string>> = {}) {
  const used = compileOptions({ tasks: { t: () => 1 }, ...options }, env);
  const all = effectiveSettings(options, used, env);
  return new Map(
    all.map(({ name, value, source, variable }) => [name, `${value} <- ${source} ${variable}`.trim()]),
  );
}

describe("the settings that a worker runs with", () => {
  it("name the option, the variable or the default that each value comes from", () => {
    const env = {
      WORKER_MAX_CONCURRENCY: "8",
      WORKER_ID: "gpu-7",
      WORKER_WARN_INFERENCE_S: "7",
      WORKER_DRAIN_TIMEOUT_S: " ",
    };
    const found = settings({ id: "gpu-8", warn: { upload: 4 }, scratch: { keepS: 7_200 } }, env);
    assert.equal(found.get("scheduler"), "127.0.0.1:7070 <- default MUSTER_SCHEDULER_ADDR");
    assert.equal(found.get("id"), "gpu-8 <- option WORKER_ID");
    assert.equal(found.get("concurrency"), "8 <- environment WORKER_MAX_CONCURRENCY");
    assert.equal(found.get("drainTimeoutS"), "30 <- default WORKER_DRAIN_TIMEOUT_S");
    assert.equal(found.get("warn.inference"), "7 <- environment WORKER_WARN_INFERENCE_S");
    assert.equal(found.get("warn.upload"), "4 <- option");
    assert.equal(found.get("warn.model_load"), "60 <- default WORKER_WARN_MODEL_LOAD_S");
    assert.equal(found.get("scratch.keepS"), "7200 <- option WORKER_SCRATCH_KEEP_S");
    const stored = settings({}, { WORKER_ARTIFACT_DIR: "/srv/results" });
    assert.equal(stored.get("artifacts"), "file:///srv/results/artifacts <- environment WORKER_ARTIFACT_DIR");
    const store = new FolderStore({ dir: "/srv/payloads" });
    const encoded = settings({ payloads: { codecs: [compression()], claimCheck: { store } } }, {});
    assert.equal(encoded.get("payloads.codecs"), "gzip <- option");
    assert.equal(
      encoded.get("payloads.claimCheck"),
      "above 262144 bytes in file:///srv/payloads/payloads <- option",
    );
    assert.equal(found.get("tls"), "off <- default MUSTER_TLS_CA");
    assert.equal(settings({}, { WORKER_ID: "gpu-7" }).get("id"), "gpu-7 <- environment WORKER_ID");
  });

  it("hold no secret", () => {
    const secret = "very-secret";
    const tls = { cert: "CERTIFICATE", key: "PRIVATE KEY" };
    const found = settings({ tls }, { MUSTER_TOKEN: secret });
    assert.equal(found.get("token"), "(set, not shown) <- environment MUSTER_TOKEN");
    assert.equal(found.get("tls"), "on, with a client certificate <- option MUSTER_TLS_CA");
    const text = [...found.values(), ...settings({ token: secret }).values()].join(" ");
    for (const each of [secret, "CERTIFICATE", "PRIVATE"]) assert.ok(!text.includes(each), each);
  });
});

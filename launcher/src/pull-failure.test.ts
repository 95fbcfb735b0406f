import assert from "node:assert/strict";
import { it } from "node:test";
import { pullFailure } from "./pull-failure.ts";

it("the failure of a pull is read from the sentences of engines and registries", () => {
  for (const [failure, sentence] of [
    ["not_found", "manifest for nothing:1 not found: manifest unknown: manifest unknown"],
    [
      "not_found",
      "pull access denied for nothing, repository does not exist or may require 'docker login': denied",
    ],
    ["denied", 'Head "http://127.0.0.1:5000/v2/worker/manifests/1": no basic auth credentials'],
    ["denied", "unauthorized: authentication required"],
    ["denied", "denied: Permission artifactregistry.repositories.downloadArtifacts denied"],
    ["unreachable", 'Get "https://nosuch.invalid/v2/": dial tcp: lookup nosuch.invalid: no such host'],
    ["unreachable", 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'],
    ["unreachable", "toomanyrequests: You have reached your pull rate limit"],
    ["unreachable", "received unexpected HTTP status: 502 Bad Gateway"],
    ["other", "failed to register layer: no space left on device"],
  ] as const)
    assert.equal(pullFailure(sentence), failure, sentence);
});

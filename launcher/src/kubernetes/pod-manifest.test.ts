import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { launcherLabel, merged } from "./pod-manifest.ts";

describe("the pod of a launch", () => {
  it("has what an operator merges: objects by field, named lists by name, other lists of objects appended", () => {
    const base = {
      restartPolicy: "Never",
      containers: [{ name: "worker", command: ["a", "b"], env: [{ name: "A", value: "1" }] }],
      tolerations: [{ key: "gpu" }],
    };
    const over = {
      hostNetwork: true,
      containers: [
        {
          name: "worker",
          command: ["c"],
          env: [
            { name: "A", valueFrom: { fieldRef: {} } },
            { name: "B", value: "2" },
          ],
        },
        { name: "proxy" },
      ],
      tolerations: [{ key: "spot" }],
    };
    assert.deepEqual(merged(base, over), {
      ...{ restartPolicy: "Never", hostNetwork: true },
      containers: [
        {
          name: "worker",
          command: ["c"],
          env: [
            { name: "A", valueFrom: { fieldRef: {} } },
            { name: "B", value: "2" },
          ],
        },
        { name: "proxy" },
      ],
      tolerations: [{ key: "gpu" }, { key: "spot" }],
    });
  });

  it("has the id of its launcher as a label, or a hash of one that is no value of a label", () => {
    assert.equal(launcherLabel("host-1a2b"), "host-1a2b");
    assert.match(launcherLabel(`-${"x".repeat(90)}`), /^[0-9a-f]{32}$/);
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { KubernetesTemplateSchema, LaunchTemplateSchema } from "@muster/protocol";
import { kubernetesConverter } from "./kubernetes.ts";

type Given = MessageInitShape<typeof KubernetesTemplateSchema>;

function convert(given: Given, env: Record<string, string> = {}) {
  const faults: string[] = [];
  const value = create(KubernetesTemplateSchema, given);
  const template = create(LaunchTemplateSchema, { env, driver: { case: "kubernetes", value } });
  const settings = kubernetesConverter.to(value, template, (field, description) =>
    faults.push(`${field.replace("launch_template.kubernetes.", "")} ${description}`),
  );
  return { settings, faults, value };
}

const fieldsOf = (given: Given, env?: Record<string, string>) =>
  convert(given, env).faults.map((fault) => fault.split(" ")[0]);

describe("the settings of the driver of pods", () => {
  it("are stored and shown as they were given", () => {
    const { settings, faults, value } = convert({
      ...{
        podNamespace: "workers",
        image: "registry.example.com:5000/team/worker@sha256:abc",
        imagePullPolicy: "Always",
      },
      ...{
        imagePullSecrets: ["registry"],
        requests: { cpu: "500m", "nvidia.com/gpu": "1" },
        limits: { memory: "4Gi" },
      },
      ...{ nodeSelector: { "kubernetes.io/arch": "amd64" }, serviceAccount: "ocr", runtimeClass: "nvidia" },
      tolerations: [{ comparison: "Exists" }, { key: "gpu", value: "yes", effect: "NoExecute" }],
      secretEnv: [{ name: "API_KEY", secret: "ocr", key: "api-key" }],
      volumes: [
        { name: "scratch", mountPath: "/scratch", source: { case: "emptyDir", value: "0" } },
        {
          name: "models",
          mountPath: "/models",
          readOnly: true,
          subPath: "v1",
          source: { case: "claim", value: "m" },
        },
      ],
      labels: { team: "ocr" },
      podSpec: { hostNetwork: true, containers: [{ name: "worker", tty: true }] },
    });
    assert.deepEqual(faults, []);
    const shown = kubernetesConverter.from(settings);
    assert.ok(shown.case === "kubernetes");
    assert.deepEqual(create(KubernetesTemplateSchema, shown.value as Given), value);
  });

  it("are refused with every fault", () => {
    assert.deepEqual(
      fieldsOf(
        {
          ...{
            podNamespace: "Workers",
            image: "two words",
            imagePullPolicy: "always",
            imagePullSecrets: ["_"],
          },
          ...{ requests: { cpu: "a lot" }, limits: { "a b": "1" }, nodeSelector: { x: "-" } },
          tolerations: [{ key: "" }, { key: "gpu", comparison: "Exists", value: "x", effect: "Never" }],
          secretEnv: [
            { name: "1", secret: "ok", key: "k" },
            { name: "MODE", secret: "", key: "" },
            { name: "WORKER_ID", secret: "s", key: "k" },
          ],
          volumes: [
            { name: "a", mountPath: "relative", subPath: "../up" },
            { name: "a", mountPath: "/a", source: { case: "memory", value: "much" } },
          ],
          labels: { "muster.dev/launch": "x" },
          annotations: { "muster.dev/x": "" },
          workingDir: "srv",
        },
        { MODE: "fast" },
      ),
      [
        ...[
          "image",
          "pod_namespace",
          "image_pull_policy",
          "image_pull_secrets",
          "requests",
          "limits",
          "node_selector",
        ],
        ...["tolerations[0].key", "tolerations[1].value", "tolerations[1].effect", "working_dir"],
        ...[
          "secret_env[0].name",
          "secret_env[1].name",
          "secret_env[1].secret",
          "secret_env[1].key",
          "secret_env[2].name",
        ],
        ...["volumes[0].mount_path", "volumes[0].sub_path", "volumes[0]", "volumes[1].name", "volumes[1]"],
        ...["labels", "annotations"],
      ],
    );
  });

  it("are refused with parts of a pod that would make a launch more than one process, or have no name", () => {
    const { faults } = convert({
      image: "x",
      podSpec: {
        restartPolicy: "Always",
        containers: [{ name: "worker", env: [{ name: "MUSTER_POOL", value: "x" }] }, { image: "y" }],
      },
    });
    assert.match(faults.join("\n"), /must not have restartPolicy: a launch is one process/);
    assert.match(faults.join("\n"), /containers\[1\] has no name/);
    assert.match(faults.join("\n"), /sets the variable "MUSTER_POOL" of the worker, which the launcher sets/);
    let deep: object = {};
    for (let n = 0; n < 30; n++) deep = { deep };
    assert.match(convert({ image: "x", podSpec: { deep } as never }).faults.join(), /nested deeper than 20/);
    assert.match(convert({ image: "x", podSpec: { x: "y".repeat(70_000) } }).faults.join(), /at most 65536/);
  });
});

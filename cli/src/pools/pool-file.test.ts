import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { DockerPullPolicy } from "@muster/protocol";
import { PoolFileError, readPoolFile } from "./pool-file.ts";

const YAML = `
name: gpu
offer:
  task_types: [ocr.page]
  labels: { gpu: a100 }
  capacities: { gpu_memory_mb: 40000 }
  slots: 2
min_workers: 1
max_workers: 8
startup_timeout: 1m30s
scheduled_minimums:
  - cron: "0 8 * * MON-FRI"
    timezone: Europe/Berlin
    duration: 10h
    min_workers: 4
launch_guard: { failure_rate: 0.75 }
launch_template:
  command: [node, worker.js, 8080]
  env: { PORT: 8080, DEBUG: true }
  secrets:
    - { name: HF_TOKEN, launcher_variable: HF_TOKEN }
  process: { directory: /srv/worker }
`;

function faultsOf(text: string): readonly string[] {
  try {
    readPoolFile(text);
  } catch (error) {
    if (error instanceof PoolFileError) return error.faults;
    throw error;
  }
  return [];
}

describe("the file of a pool", () => {
  it("is read from YAML, with durations in words and numbers of variables as text", () => {
    const spec = readPoolFile(YAML);
    assert.equal(spec.name, "gpu");
    assert.deepEqual(spec.offer?.capacities, { gpu_memory_mb: 40_000n });
    assert.equal(spec.startupTimeout && durationMs(spec.startupTimeout), 90_000);
    const [minimum] = spec.scheduledMinimums;
    assert.equal(minimum?.duration && durationMs(minimum.duration), 36_000_000);
    assert.equal(spec.launchGuard?.failureRate, 0.75);
    const template = spec.launchTemplate;
    assert.deepEqual(template?.command, ["node", "worker.js", "8080"]);
    assert.deepEqual(template?.env, { PORT: "8080", DEBUG: "true" });
    assert.deepEqual(template?.secrets[0]?.source, { case: "launcherVariable", value: "HF_TOKEN" });
    assert.equal(template?.driver.case === "process" && template.driver.value.directory, "/srv/worker");
  });

  it("has a Docker template with words for its policy, truth values and sizes", () => {
    const { launchTemplate } = readPoolFile(`
launch_template:
  docker:
    image: registry.example.com/worker:7
    pull_policy: ALWAYS
    run_init: true
    cpus: 1.5
    memory_mib: 2048
    gpus: { all: true }
    tmpfs_mib: { /scratch: 512 }
`);
    assert.equal(launchTemplate?.driver.case, "docker");
    const { pullPolicy, runInit, cpus, memoryMib, gpus, tmpfsMib } = launchTemplate.driver.value;
    assert.deepEqual([pullPolicy, runInit, cpus, memoryMib], [DockerPullPolicy.ALWAYS, true, 1.5, 2_048n]);
    assert.deepEqual([gpus?.all, tmpfsMib], [true, { "/scratch": 512n }]);
    const faults = faultsOf(
      "launch_template: { docker: { pull_policy: sometimes, run_init: 1, immage: x } }",
    );
    assert.deepEqual(faults, [
      'launch_template.docker.pull_policy is "sometimes", and must be one of MISSING, ALWAYS, NO_PULL',
      'launch_template.docker.run_init is "1", and must be true or false',
      "launch_template.docker.immage is no field; did you mean image?",
    ]);
  });

  it("is read from JSON, with the names of the protocol or of its JSON form", () => {
    const json = JSON.stringify({ name: "a", maxWorkers: 2, offer: { task_types: ["x"] } });
    const spec = readPoolFile(json);
    assert.deepEqual([spec.name, spec.maxWorkers, spec.offer?.taskTypes], ["a", 2, ["x"]]);
  });

  it("has every fault named at once, with its place", () => {
    const faults = faultsOf(`
name: [gpu]
max_worker: 3
min_workers: many
offer: { slots: 1.5, capacities: { gpu: big } }
idle_timeout: 300
startup_timeout: soon
launch_template:
  command: node worker.js
  secrets: [{ name: A, launcher_variable: B, launcher_file: C }]
`);
    assert.deepEqual(faults, [
      "name is a list, and must be text",
      "max_worker is no field; did you mean max_workers?",
      'min_workers is "many", and must be a whole number',
      'offer.slots is "1.5", and must be a whole number',
      'offer.capacities.gpu is "big", and must be a whole number',
      'idle_timeout is "300", and must be a duration, for example 5m or 30s',
      'startup_timeout: "soon" is not a duration: write it with its unit, for example 90s, 5m or 1h30m',
      'launch_template.command is "node worker.js", and must be a list',
      "launch_template.secrets[0].launcher_file excludes an earlier field",
    ]);
  });

  it("is refused when it is no YAML, no object, or expands itself", () => {
    assert.match(faultsOf("name: [").join(), /at line 1/);
    assert.match(faultsOf("- a").join(), /^the file is a list, and must have the fields name, offer, /);
    assert.match(faultsOf("").join(), /^the file is empty/);
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n`;
    assert.match(faultsOf(bomb).join(), /alias/i);
  });
});

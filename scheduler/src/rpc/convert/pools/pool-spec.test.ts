import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  DockerPullPolicy,
  type DockerTemplateSchema,
  PoolSpecSchema,
  RolloutFailureAction,
  RolloutRuleSchema,
} from "@muster/protocol";
import { Refusal } from "../../../domain/errors.ts";
import { durationFromMs } from "../values/time.ts";
import { fromSpec } from "./pool.ts";
import { toPoolSpec } from "./pool-spec.ts";

type Spec = MessageInitShape<typeof PoolSpecSchema>;

const LEAST: Spec = {
  name: "gpu",
  offer: { taskTypes: ["ocr"] },
  maxWorkers: 2,
  launchTemplate: { command: ["worker"], driver: { case: "process", value: {} } },
};

const read = (spec: Spec) => toPoolSpec(create(PoolSpecSchema, spec));

function violations(spec: Spec): string[] {
  try {
    read(spec);
  } catch (error) {
    if (error instanceof Refusal)
      return error.violations.map(({ field, description }) => `${field} ${description}`);
    throw error;
  }
  return [];
}

describe("the spec of a pool", () => {
  it("has its defaults", () => {
    assert.deepEqual(read(LEAST), {
      name: "gpu",
      offer: { types: ["ocr"], queues: ["default"], labels: {}, resources: [], capacities: {}, slots: 1 },
      ...{ minWorkers: 0, maxWorkers: 2, maxStarting: 10, scheduledMinimums: [] },
      ...{ startupTimeoutMs: 300_000, idleTimeoutMs: 300_000, drainTimeoutMs: 600_000 },
      scale: { stabilizationMs: 60_000, minTaskAgeMs: 0 },
      guard: {
        windowMs: 600_000,
        minSamples: 3,
        failureRate: 0.5,
        firstBackoffMs: 30_000,
        maxBackoffMs: 900_000,
        maxUnaccepted: 3,
      },
      rollout: {
        ...{ maxSurge: 1, maxUnavailable: 0, minReadyMs: 10_000 },
        ...{ maxFailedLaunches: 2, onFailure: "pause" },
      },
      template: { driver: "process", command: ["worker"], env: {}, secrets: [], directory: "" },
    });
  });

  it("is the same after a round trip with every field set", () => {
    const spec = read({
      ...LEAST,
      offer: {
        ...{ taskTypes: ["ocr"], queues: ["a", "b"], labels: { gpu: "a100" }, resources: ["model:x"] },
        ...{ capacities: { gpu_mb: 8n }, slots: 3 },
      },
      ...{ minWorkers: 1, maxStarting: 4 },
      scheduledMinimums: [
        { cron: "0 8 * * *", timezone: "Europe/Berlin", duration: durationFromMs(3_600_000), minWorkers: 2 },
      ],
      startupTimeout: durationFromMs(1_500),
      launchGuard: {
        window: durationFromMs(60_000),
        minSamples: 5,
        failureRate: 0.9,
        maxBackoff: durationFromMs(40_000),
      },
      launchTemplate: {
        command: ["worker", "--fast"],
        env: { A: "1" },
        secrets: [
          { name: "B", source: { case: "launcherVariable", value: "C" } },
          { name: "D", source: { case: "launcherFile", value: "/run/secrets/d" } },
        ],
        driver: { case: "process", value: { directory: "/srv" } },
      },
      rollout: {
        ...{ maxSurge: 0, maxUnavailable: 2, minReady: durationFromMs(0), maxFailedLaunches: 7 },
        onFailure: RolloutFailureAction.ROLL_BACK,
      },
    });
    assert.deepEqual(spec.rollout, {
      ...{ maxSurge: 0, maxUnavailable: 2, minReadyMs: 0, maxFailedLaunches: 7, onFailure: "roll_back" },
    });
    assert.deepEqual(toPoolSpec(create(PoolSpecSchema, fromSpec(spec))), spec);
  });

  it("has every fault reported at once, by its field", () => {
    const found = violations({
      name: "GPU",
      minWorkers: 5,
      maxWorkers: 2,
      maxStarting: -1,
      scheduledMinimums: [{ cron: "never", timezone: "Mars", minWorkers: 9 }],
      startupTimeout: durationFromMs(10),
      launchGuard: {
        failureRate: 2,
        firstBackoff: durationFromMs(60_000),
        maxBackoff: durationFromMs(30_000),
      },
      launchTemplate: {
        env: { "NO NAME": "x", WORKER_ID: "mine" },
        secrets: [{ name: "A" }, { name: "A", source: { case: "launcherFile", value: "" } }],
      },
    });
    assert.deepEqual(
      found.map((violation) => violation.split(" ")[0]),
      [
        ...["spec.name", "spec.max_workers", "spec.startup_timeout", "spec.offer", "spec.max_starting"],
        ...["spec.scheduled_minimums[0].timezone", "spec.scheduled_minimums[0].cron"],
        ...["spec.scheduled_minimums[0].duration", "spec.scheduled_minimums[0].min_workers"],
        ...["spec.launch_guard.failure_rate", "spec.launch_guard.max_backoff"],
        ...["spec.launch_template", "spec.launch_template.env", "spec.launch_template.env"],
        ...["spec.launch_template.secrets[0]", "spec.launch_template.secrets[1].name"],
        "spec.launch_template.secrets[1].launcher_file",
      ],
    );
  });

  it("has a container as its driver, the same after a round trip, and every fault of it reported", () => {
    const docker = (value: MessageInitShape<typeof DockerTemplateSchema>, command: string[] = []): Spec => ({
      ...LEAST,
      launchTemplate: { command, driver: { case: "docker", value } },
    });
    const least = read(docker({ image: "worker" }));
    assert.deepEqual(toPoolSpec(create(PoolSpecSchema, fromSpec(least))), least);
    const full = read(
      docker(
        {
          ...{ image: `registry.example.com:5000/team/worker:7@sha256:${"a".repeat(64)}`, user: "1000:1000" },
          ...{
            pullPolicy: DockerPullPolicy.ALWAYS,
            entrypoint: ["tini", "--"],
            workingDir: "/srv",
            init: true,
          },
          ...{ groups: ["video"], memoryMib: 6n, cpus: 0.5, pidsLimit: 100n, shmMib: 64n, network: "host" },
          ...{ gpus: { deviceIds: ["GPU-1"] }, devices: ["/dev/kfd", "/dev/a:/dev/b:rw"], ipc: "host" },
          ...{
            volumes: ["/models:/models:ro", "cache:/cache"],
            tmpfsMib: { "/scratch": 1n },
            runtime: "nvidia",
          },
          ...{ extraHosts: ["scheduler:host-gateway"], labels: { team: "a" }, ulimits: { memlock: 0n } },
        },
        ["worker"],
      ),
    );
    assert.deepEqual(toPoolSpec(create(PoolSpecSchema, fromSpec(full))), full);
    const found = violations(
      docker(
        {
          ...{
            image: "Not an image",
            pullPolicy: 9 as DockerPullPolicy,
            entrypoint: [""],
            workingDir: "srv",
          },
          ...{ user: "a b", groups: [""], memoryMib: 5n, cpus: -1, pidsLimit: -1n, shmMib: -1n },
          ...{ gpus: {}, devices: ["kfd"], volumes: ["a", "/a:/b", "/c:/b"], tmpfsMib: { "/b": -1n } },
          ...{ network: "a b", extraHosts: ["here"], labels: { "dev.muster.pool": "x" }, ipc: "all" },
          ...{ runtime: "a b", ulimits: { memlock: -2n, "mem lock": 1n } },
        },
        [""],
      ),
    );
    assert.deepEqual(
      found.map((violation) => violation.split(" ")[0]?.replace("spec.launch_template.", "")),
      [
        ...["command", "docker.cpus", "docker.memory_mib", "docker.pids_limit", "docker.shm_mib"],
        ...['docker.tmpfs_mib["/b"]', 'docker.ulimits["memlock"]', "docker.gpus"],
        ...["docker.image", "docker.pull_policy", "docker.entrypoint", "docker.working_dir"],
        ...["docker.user", "docker.groups[0]", "docker.devices[0]", "docker.volumes[0]", "docker.volumes[2]"],
        ...["docker.tmpfs_mib", "docker.extra_hosts[0]", "docker.network", "docker.runtime", "docker.ipc"],
        ...["docker.labels", "docker.ulimits"],
      ],
    );
  });

  it("has the faults of its driver reported, too", () => {
    assert.deepEqual(
      violations({
        ...LEAST,
        launchTemplate: { driver: { case: "process", value: { directory: "/srv\0" } } },
      }),
      [
        "spec.launch_template.command is empty: give the program and its arguments",
        "spec.launch_template.process.directory has 5 characters; at most 4096 without NUL are allowed",
      ],
    );
  });

  it("has a rollout that can replace a worker, to a build with an id", () => {
    const template = { ...LEAST.launchTemplate, env: { MUSTER_BUILD_ID: "no id" } };
    const rollout = create(RolloutRuleSchema, {
      ...{ maxSurge: 0, maxFailedLaunches: -1, minReady: durationFromMs(3_600_001) },
    });
    // As from a client of a later version.
    Object.assign(rollout, { onFailure: 9 });
    assert.deepEqual(
      violations({ ...LEAST, launchTemplate: template, rollout }).map((violation) => violation.slice(0, 60)),
      [
        "spec.rollout.max_unavailable is 0 like max_surge: then no wo",
        "spec.rollout.on_failure 9 is no action that this scheduler k",
        "spec.rollout.min_ready 3600.001 s is not between 0 and 3600 ",
        "spec.rollout.max_failed_launches -1 is not between 1 and 100",
        'spec.launch_template.env.MUSTER_BUILD_ID "no id" must start ',
      ],
    );
  });

  it("is the same after a round trip with a hook", () => {
    const spec = read({
      ...LEAST,
      launchTemplate: {
        driver: {
          case: "hook",
          value: { command: ["./ssh.js"], settings: { hosts: "a b" }, timeout: durationFromMs(2_000) },
        },
      },
    });
    assert.deepEqual(spec.template, {
      ...{
        command: [],
        env: {},
        secrets: [],
        driver: "hook",
        hook: ["./ssh.js"],
        settings: { hosts: "a b" },
      },
      ...{ timeoutMs: 2_000, listIntervalMs: 10_000 },
    });
    assert.deepEqual(toPoolSpec(create(PoolSpecSchema, fromSpec(spec))), spec);
    assert.deepEqual(
      violations({
        ...LEAST,
        launchTemplate: { driver: { case: "hook", value: { listInterval: durationFromMs(1) } } },
      }),
      [
        "spec.launch_template.hook.list_interval 0.001 s is less than 1 s",
        "spec.launch_template.hook.command is empty: give the program of the hook and its arguments",
      ],
    );
  });

  it("has a window in which starts that fail by their timeout can meet", () => {
    const slow = { ...LEAST, startupTimeout: durationFromMs(3_600_000) };
    assert.equal(read(slow).guard.windowMs, 7_200_000);
    assert.deepEqual(violations({ ...slow, launchGuard: { window: durationFromMs(600_000) } }), [
      "spec.launch_guard.window 600 s is below startup_timeout, which is 3600 s",
    ]);
  });
});

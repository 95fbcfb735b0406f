import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { LaunchTemplateSchema, type PoolLaunch, PoolLaunchOutcome, PoolLaunchState } from "@muster/protocol";
import { readPoolFile } from "../../cli/src/pools/pool-file.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { launchesOf, poolSpec, TestLauncher, type TestPool } from "../support/fleet/pool-launcher.ts";
import { Cluster } from "../support/kubernetes/cluster.ts";
import { findControlPlane } from "../support/kubernetes/control-plane-program.ts";
import { containerStatus, Kubelet } from "../support/kubernetes/kubelet.ts";
import { killAll } from "../support/programs/program.ts";
import { ROOT } from "../support/repo/checks.ts";
import { until } from "../support/waits.ts";

const found = findControlPlane();
const TOKEN = "the-token-of-the-pods-test";
const NAMESPACE = "workers";
const ARGS = ["--driver", "kubernetes"];

/** Images that no kubelet could run, and what it would report of them. */
const PLAYS = {
  missing: {
    phase: "Pending",
    ...containerStatus({
      waiting: { reason: "ImagePullBackOff", message: 'Back-off pulling image "missing"' },
    }),
  },
  loop: {
    phase: "Running",
    ...containerStatus(
      { waiting: { reason: "CrashLoopBackOff", message: "back-off 10s" } },
      { terminated: { exitCode: 1, reason: "Error", message: "ImportError: no torch\n" } },
    ),
  },
  memory: { phase: "Failed", ...containerStatus({ terminated: { exitCode: 137, reason: "OOMKilled" } }) },
  evicted: { phase: "Failed", reason: "Evicted", message: "The node was low on resource: memory." },
} as const;

describe("a pool of workers that a launcher runs as pods", {
  skip: typeof found === "string" && found,
}, () => {
  let cluster: Cluster;
  let kubelet: Kubelet;
  let fleet: Fleet;
  let launcher: TestLauncher;

  before(async () => {
    if (typeof found === "string") return;
    [cluster, fleet] = await Promise.all([Cluster.start(found.program), Fleet.start({ token: TOKEN })]);
    await cluster.namespace(NAMESPACE);
    kubelet = new Kubelet(cluster, NAMESPACE, PLAYS);
    launcher = new TestLauncher(fleet, env());
    await launcher.start({ args: ARGS });
  });

  after(async () => {
    await kubelet?.stop();
    await launcher?.stop();
    await killAll();
    await fleet?.stop();
    await cluster?.stop();
  });

  const env = () => ({ MUSTER_TOKEN: TOKEN, KUBECONFIG: cluster.kubeconfig("admin", NAMESPACE) });

  const apply = async (pool: TestPool, image: string, requests: Record<string, string> = {}) => {
    const spec = poolSpec(fleet, pool);
    const { command, env: variables } = spec.launchTemplate ?? {};
    const launchTemplate = create(LaunchTemplateSchema, {
      ...{ command: command ?? [], env: variables ?? {} },
      driver: { case: "kubernetes", value: { image, requests } },
    });
    await fleet.client.pools.applyPool({ spec: { ...spec, launchTemplate } });
  };

  const remove = async (name: string) => {
    await fleet.client.pools.deletePool({ name });
    await until(`pool ${name} is removed`, async () => {
      const { pools } = await fleet.client.pools.listPools({});
      return pools.every(({ spec }) => spec?.name !== name) || undefined;
    });
  };

  const launch = (pool: string, holds: (launch: PoolLaunch) => boolean) =>
    until(`a launch of ${pool} is as wanted`, async () => (await launchesOf(fleet, pool)).find(holds));

  it("runs a task on a worker in a pod, and stops it when it has been idle", async () => {
    await apply({ name: "on-demand", idleMs: 300 }, "worker");
    const task = await fleet.client.submit("echo", { n: 1 }, { queue: "on-demand" });
    assert.deepEqual(await task.result(), { n: 1 });
    const ended = await launch("on-demand", ({ state }) => state === PoolLaunchState.ENDED);
    assert.equal(ended.outcome, PoolLaunchOutcome.STOPPED);
    await until("its pod is gone", async () => (await cluster.pods(NAMESPACE)).length === 0 || undefined);
    assert.deepEqual([...kubelet.starts], [[ended.launchId, 1]]);
    await remove("on-demand");
  });

  it("T84: names why a pod does not become a worker: its image, no node, a crash loop, memory", async () => {
    const cases: readonly [string, string, Record<string, string>, string, RegExp][] = [
      ["missing", "missing", {}, "IMAGE_NOT_FOUND", /ImagePullBackOff: Back-off pulling image "missing"/],
      ["large", "worker", { cpu: "1000" }, "UNSCHEDULABLE", /Unschedulable: 0\/1 nodes are available/],
      ["loop", "loop", {}, "EXITED", /exited with code 1 \(CrashLoopBackOff.*ImportError: no torch/],
      ["memory", "memory", {}, "OUT_OF_MEMORY", /ran out of memory .*OOMKilled/],
    ];
    await Promise.all(
      cases.map(async ([name, image, requests, cause, summary]) => {
        await apply({ name, min: 1, max: 1, minSamples: 1, startupMs: 2_000 }, image, requests);
        const reason = await until(`pool ${name} is suspended`, async () => {
          const { explanation } = await fleet.client.pools.explainPool({ name });
          return explanation?.reasons.find(({ code }) => code === "LAUNCHES_SUSPENDED");
        });
        assert.equal(reason.evidence.find(({ key }) => key === "cause")?.value, cause, reason.summary);
        assert.match((await launch(name, (each) => each.cause === cause)).summary, summary);
        await remove(name);
      }),
    );
  });

  it("T85: does not count an eviction, and launches another pod", async () => {
    await apply({ name: "evicted", min: 1, max: 1, minSamples: 1 }, "evicted");
    const first = await launch("evicted", ({ outcome }) => outcome === PoolLaunchOutcome.LOST);
    assert.equal(first.cause, "DISRUPTED");
    assert.match(first.summary, /before it was ready: Evicted: The node was low on resource: memory/);
    await launch("evicted", ({ launchId }) => launchId !== first.launchId);
    const { pool } = await fleet.client.pools.getPool({ name: "evicted" });
    assert.equal(pool?.launchGuard?.cause, "", "launches are not suspended");
    await remove("evicted");
  });

  it("T86: starts each worker once when the launcher is killed and the API server restarted", async () => {
    await apply({ name: "steady", min: 3, max: 3 }, "worker");
    await until("a pod is there", async () => (await cluster.pods(NAMESPACE)).length > 0 || undefined);
    await launcher.program.end("SIGKILL");
    await cluster.stopApi();
    await launcher.run({ args: ARGS }).end("SIGKILL");
    await cluster.startApi();
    await launcher.start({ args: ARGS });
    await until("all are ready", async () => {
      const { pool } = await fleet.client.pools.getPool({ name: "steady" });
      return pool?.readyCount === 3 || undefined;
    });
    const launches = await launchesOf(fleet, "steady");
    assert.equal(launches.length, 3, "no decision was made twice");
    for (const { launchId } of launches) assert.equal(kubelet.starts.get(launchId), 1, launchId);

    // A second launcher in the same namespace: it ends nothing of the first, and starts nothing that this one has.
    const other = new TestLauncher(fleet, env());
    await other.start({ args: ARGS });
    await launcher.program.end("SIGKILL");
    await until(
      "the other launcher has the pool",
      () => other.logged("launcher.pools").some(({ pools }) => String(pools).includes("steady")) || undefined,
    );
    assert.equal((await launchesOf(fleet, "steady", true)).length, 3);
    await launcher.start({ args: ARGS });
    await remove("steady");
    await other.stop();
    assert.ok([...kubelet.starts.values()].every((count) => count === 1));
  });

  it("takes the pool of docs/kubernetes.md", async () => {
    const page = readFileSync(join(ROOT, "docs/kubernetes.md"), "utf8");
    const [, text = ""] = /^```yaml pool\.yaml\n([\s\S]*?)^```$/m.exec(page) ?? [];
    const spec = readPoolFile(text);
    await fleet.client.pools.applyPool({ spec: { ...spec, minWorkers: 1 } });
    const { launchId } = await launch(spec.name, ({ launcherId }) => launcherId !== "");
    const pod = await cluster.pod(NAMESPACE, launchId);
    assert.equal(Object(pod.spec).containers[0].resources.limits["nvidia.com/gpu"], "1");
    const waits = await launch(spec.name, ({ engineReason }) => engineReason === "Unschedulable");
    assert.match(waits.engineDetail, /Insufficient nvidia\.com\/gpu|didn't match Pod's node affinity/);
    await remove(spec.name);
  });
});

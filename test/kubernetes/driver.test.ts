import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { KubernetesTemplateSchema } from "@muster/protocol";
import { parseAllDocuments } from "yaml";
import { systemClock } from "../../launcher/src/clock.ts";
import type { LaunchOrder, ObservedLaunch } from "../../launcher/src/driver.ts";
import { findCluster } from "../../launcher/src/kubernetes/cluster-config.ts";
import { type DriverTimes, KubernetesDriver } from "../../launcher/src/kubernetes/kubernetes-driver.ts";
import { LABELS, type Pod } from "../../launcher/src/kubernetes/pod.ts";
import type { LauncherLog } from "../../launcher/src/launcher-log.ts";
import { Cluster, type ClusterUser } from "../support/kubernetes/cluster.ts";
import { findControlPlane } from "../support/kubernetes/control-plane-program.ts";
import { ROOT } from "../support/repo/checks.ts";
import { until } from "../support/waits.ts";

const found = findControlPlane();
const NAMESPACE = "workers";
const TOKEN = "the-token-of-the-driver-test";
const ROLES = `/apis/rbac.authorization.k8s.io/v1/namespaces/${NAMESPACE}`;

/** A pod whose containers say this. */
const container = (state: object, lastState = {}) => ({
  containerStatuses: [
    { name: "worker", state, lastState, image: "x", imageID: "", ready: false, restartCount: 0 },
  ],
});

describe("the driver of pods", { skip: typeof found === "string" && found }, () => {
  let cluster: Cluster;
  const drivers: KubernetesDriver[] = [];
  const logged: { event: string; message: string }[] = [];
  const log: LauncherLog = { write: (_level, event, message) => void logged.push({ event, message }) };

  before(async () => {
    if (typeof found === "string") return;
    cluster = await Cluster.start(found.program);
    await cluster.namespace(NAMESPACE);
    await grant();
  });

  after(async () => {
    await Promise.all(drivers.map((driver) => driver.close()));
    await cluster?.stop();
  });

  /** Gives the user the role of deploy/kubernetes/launcher.yaml. */
  const grant = async () => {
    const manifest = readFileSync(join(ROOT, "deploy/kubernetes/launcher.yaml"), "utf8");
    for (const document of parseAllDocuments(manifest)) {
      const object = Object(document.toJS());
      const paths: Readonly<Record<string, string>> = {
        ServiceAccount: `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`,
        Role: `${ROLES}/roles`,
        RoleBinding: `${ROLES}/rolebindings`,
        PersistentVolumeClaim: `/api/v1/namespaces/${NAMESPACE}/persistentvolumeclaims`,
        Deployment: `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`,
      };
      const path = paths[object.kind];
      assert.ok(path, object.kind);
      await cluster.done("POST", `${path}?fieldValidation=Strict`, object);
    }
    await cluster.done("POST", `${ROLES}/rolebindings`, {
      metadata: { name: "test" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "muster-launcher" },
      subjects: [{ kind: "User", name: "launcher", apiGroup: "rbac.authorization.k8s.io" }],
    });
  };

  const driverOf = async (
    launcherId: string,
    options: { user?: ClusterUser; times?: Partial<DriverTimes>; namespaces?: string } = {},
  ) => {
    const env = {
      KUBECONFIG: cluster.kubeconfig(options.user ?? "launcher", NAMESPACE),
      MUSTER_SCHEDULER_ADDR: "muster:7070",
      MUSTER_TOKEN: TOKEN,
      PATH: "/launcher/bin",
      MUSTER_KUBERNETES_NAMESPACES: options.namespaces,
    };
    const context = { launcherId, folder: "", env, clock: systemClock, log };
    const driver = new KubernetesDriver(context, await findCluster(env), options.times);
    drivers.push(driver);
    return driver;
  };

  const order = (
    launchId: string,
    template: MessageInitShape<typeof KubernetesTemplateSchema> = {},
    more: Partial<LaunchOrder> = {},
  ): LaunchOrder => ({
    ...{
      launchId,
      pool: "p",
      workerId: launchId,
      secretNames: [],
      secretSources: [],
      startupTimeoutMs: 60_000,
    },
    command: ["worker", "--serve"],
    env: {
      WORKER_ID: launchId,
      MUSTER_SCHEDULER_ADDR: "muster:7070",
      MUSTER_TOKEN: TOKEN,
      PATH: "/launcher/bin",
    },
    engine: {
      case: "kubernetes",
      value: create(KubernetesTemplateSchema, { image: "worker:1", ...template }),
    },
    ...more,
  });

  const observed = (
    driver: KubernetesDriver,
    launchId: string,
    holds: (launch: ObservedLaunch) => boolean,
  ): Promise<ObservedLaunch> =>
    until(`${launchId} is seen as wanted`, async () =>
      (await driver.list()).find((each) => each.launchId === launchId && holds(each)),
    );

  const bound = (launchId: string) =>
    cluster.pod(NAMESPACE, launchId, ({ spec }) => spec?.nodeName !== undefined);
  const running = async (launchId: string) => {
    const pod = await bound(launchId);
    await cluster.report(NAMESPACE, launchId, { phase: "Running", ...container({ running: {} }) });
    return pod;
  };
  const names = async () => (await cluster.pods(NAMESPACE)).map(({ metadata }) => metadata?.name);
  const isGone = (launchId: string) =>
    until(`the pod ${launchId} is gone`, async () => !(await names()).includes(launchId) || undefined);

  it("makes one pod for an id, whoever asks and how often, and knows it after a restart", async () => {
    const [first, second] = [await driverOf("one"), await driverOf("one")];
    await Promise.all([first, second, first].map((each) => each.launch(order("once"))));
    const pod = await running("once");
    await observed(first, "once", ({ phase }) => phase === "running");
    const third = await driverOf("one");
    await third.launch(order("once"));
    await observed(third, "once", ({ phase }) => phase === "running");
    assert.deepEqual(
      (await cluster.pods(NAMESPACE)).map(({ metadata }) => metadata?.uid),
      [pod.metadata?.uid],
    );
    assert.deepEqual(await (await driverOf("another")).list(), [], "it is of another launcher");
    await cluster.report(NAMESPACE, "once", {
      phase: "Failed",
      ...container({ terminated: { exitCode: 4, reason: "Error", message: `no such model, ${TOKEN}\n` } }),
    });
    const { exitCode, reason, signal, logTail, detail } = await observed(
      third,
      "once",
      ({ phase }) => phase === "ended",
    );
    assert.deepEqual([exitCode, reason, signal], [4, "", ""]);
    assert.equal(logTail, "no such model, [redacted]\n");
    assert.equal(detail, "");
    await third.launch(order("once"));
    await third.forget("once");
    await isGone("once");
    assert.deepEqual(await names(), []);
  });

  it("makes the pod of the template, with its secrets in a Secret that goes with it", async () => {
    const driver = await driverOf("template");
    const template = {
      image: "registry.example.com/worker:7",
      imagePullPolicy: "Always",
      imagePullSecrets: ["registry"],
      requests: { cpu: "100m" },
      limits: { memory: "64Mi" },
      nodeSelector: { "kubernetes.io/hostname": "node-1" },
      tolerations: [{ key: "gpu", comparison: "Exists", effect: "NoSchedule" }],
      workingDir: "/srv",
      secretEnv: [{ name: "API_KEY", secret: "keys", key: "api" }],
      volumes: [
        { name: "scratch", mountPath: "/scratch", source: { case: "emptyDir" as const, value: "1Gi" } },
        {
          name: "models",
          mountPath: "/models",
          readOnly: true,
          source: { case: "claim" as const, value: "models" },
        },
      ],
      labels: { team: "ocr" },
      annotations: { note: "by a test" },
      podSpec: {
        securityContext: { runAsNonRoot: true, runAsUser: 1_000 },
        containers: [
          { name: "worker", securityContext: { allowPrivilegeEscalation: false } },
          { name: "proxy", image: "proxy:1" },
        ],
        tolerations: [{ key: "spot", operator: "Exists" }],
      },
    };
    const env = { ...order("full").env, MODE: "fast", PASSPHRASE: "of-the-launcher" };
    // A pod of this claim waits for the volume: it is only looked at.
    await driver.launch(order("full", template, { env, secretNames: ["PASSPHRASE"] }));
    const pod = await cluster.pod(NAMESPACE, "full");
    const { metadata, spec } = pod as Pod & { spec: Record<string, unknown> };
    assert.deepEqual(metadata?.labels, {
      ...{ "app.kubernetes.io/managed-by": "muster-launcher", team: "ocr" },
      ...{ [LABELS.launch]: "full", [LABELS.pool]: "p", [LABELS.launcher]: "template" },
    });
    assert.equal(metadata?.annotations?.note, "by a test");
    assert.equal(spec.restartPolicy, "Never");
    const [worker, proxy] = spec.containers as Record<string, unknown>[];
    assert.equal(proxy?.image, "proxy:1");
    assert.deepEqual(worker?.command, ["worker", "--serve"]);
    assert.deepEqual(worker?.securityContext, { allowPrivilegeEscalation: false });
    assert.deepEqual(worker?.env, [
      ...[
        { name: "WORKER_ID", value: "full" },
        { name: "MUSTER_SCHEDULER_ADDR", value: "muster:7070" },
        { name: "MODE", value: "fast" },
      ],
      ...["MUSTER_TOKEN", "PASSPHRASE"].map((name) => ({
        name,
        valueFrom: { secretKeyRef: { name: "full", key: name } },
      })),
      { name: "API_KEY", valueFrom: { secretKeyRef: { name: "keys", key: "api" } } },
    ]);
    const secret = await until("its Secret is made", async () => {
      const { status, body } = await cluster.call("GET", `/api/v1/namespaces/${NAMESPACE}/secrets/full`);
      return status === 200 ? Object(body) : undefined;
    });
    assert.equal(Buffer.from(secret.data.PASSPHRASE, "base64").toString(), "of-the-launcher");
    assert.equal(secret.metadata.ownerReferences[0].uid, metadata?.uid);
    await driver.stop("full", { graceMs: 1_000 });
    await observed(driver, "full", ({ phase }) => phase === "ended");
    await driver.forget("full");
    await until("its Secret is gone", async () => {
      const { status } = await cluster.call("GET", `/api/v1/namespaces/${NAMESPACE}/secrets/full`);
      return status === 404 || undefined;
    });
  });

  it("says why a pod waits: no node, an image, a configuration, a mount", async () => {
    const driver = await driverOf("pending");
    await driver.launch(order("large", { requests: { cpu: "1000" } }));
    const large = await observed(driver, "large", ({ reason }) => reason === "Unschedulable");
    assert.match(large.detail, /0\/1 nodes are available: 1 Insufficient cpu/);
    for (const [reason, message] of [
      ["ErrImagePull", 'failed to pull image "worker:1": not found'],
      ["ImagePullBackOff", 'Back-off pulling image "worker:1"'],
      ["InvalidImageName", "couldn't parse image name"],
      ["CreateContainerConfigError", 'secret "keys" not found'],
    ] as const) {
      const launchId = `waits-${reason.toLowerCase()}`;
      await driver.launch(order(launchId));
      await bound(launchId);
      await cluster.report(NAMESPACE, launchId, {
        phase: "Pending",
        ...container({ waiting: { reason, message } }),
      });
      const seen = await observed(driver, launchId, (each) => each.reason === reason);
      assert.deepEqual([seen.phase, seen.detail], ["pending", message]);
    }
    await driver.launch(order("mounts"));
    const pod = await bound("mounts");
    await cluster.report(NAMESPACE, "mounts", {
      phase: "Pending",
      ...container({ waiting: { reason: "ContainerCreating" } }),
    });
    await cluster.event(pod, "FailedMount", 'MountVolume.SetUp failed for volume "models"');
    const mounts = await observed(driver, "mounts", ({ reason }) => reason === "FailedMount");
    assert.equal(mounts.detail, 'MountVolume.SetUp failed for volume "models"');
  });

  it("says how a pod ended: memory, a crash loop, a command, an eviction, a preemption, a lost node", async () => {
    const driver = await driverOf("ends");
    const ends: readonly [string, NonNullable<Pod["status"]>, Partial<ObservedLaunch>][] = [
      [
        "memory",
        { phase: "Failed", ...container({ terminated: { exitCode: 137, reason: "OOMKilled" } }) },
        { reason: "OOMKilled", outOfMemory: true, signal: "SIGKILL", exitCode: undefined },
      ],
      [
        "loop",
        {
          phase: "Running",
          ...container(
            { waiting: { reason: "CrashLoopBackOff", message: "back-off 10s" } },
            { terminated: { exitCode: 1, reason: "Error", message: "cannot import torch\n" } },
          ),
        },
        { reason: "CrashLoopBackOff", exitCode: 1, logTail: "cannot import torch\n" },
      ],
      [
        "command",
        {
          phase: "Failed",
          ...container({
            terminated: { exitCode: 128, reason: "StartError", message: 'exec: "worker": not found' },
          }),
        },
        { reason: "StartError", detail: 'exec: "worker": not found', exitCode: undefined },
      ],
      [
        "evicted",
        { phase: "Failed", reason: "Evicted", message: "The node was low on resource: memory." },
        { reason: "Evicted" },
      ],
      [
        "preempted",
        {
          phase: "Failed",
          conditions: [
            {
              type: "DisruptionTarget",
              status: "True",
              reason: "PreemptionByScheduler",
              message: "preempting",
            },
          ],
          ...container({ terminated: { exitCode: 143, reason: "Error" } }),
        },
        { reason: "Preempted", signal: "SIGTERM", exitCode: undefined },
      ],
      [
        "unknown",
        { phase: "Failed", reason: "NodeLost", message: "the node is gone" },
        { reason: "NodeLost" },
      ],
      [
        "deadline",
        { phase: "Failed", reason: "DeadlineExceeded", message: "Pod was active longer than the deadline" },
        { reason: "DeadlineExceeded" },
      ],
    ];
    await Promise.all(ends.map(([name]) => driver.launch(order(`ends-${name}`))));
    await Promise.all(
      ends.map(async ([name, status, expected]) => {
        await bound(`ends-${name}`);
        await cluster.report(NAMESPACE, `ends-${name}`, status);
        const seen = await observed(driver, `ends-${name}`, ({ phase }) => phase === "ended");
        for (const [key, value] of Object.entries(expected))
          assert.deepEqual(seen[key as keyof ObservedLaunch], value, `${name}: ${key}`);
      }),
    );
  });

  it("says that it cannot read the output of a node that does not answer", async () => {
    const driver = await driverOf("output");
    await driver.launch(order("unread"));
    await running("unread");
    await cluster.report(NAMESPACE, "unread", {
      phase: "Failed",
      ...container({ terminated: { exitCode: 3, reason: "Error" } }),
    });
    const { detail } = await observed(driver, "unread", ({ phase }) => phase === "ended");
    assert.match(detail, /^its output could not be read: no preferred addresses found/);
  });

  it("reports a pod that was deleted by another client as ended", async () => {
    const driver = await driverOf("deleted");
    await driver.launch(order("removed"));
    await running("removed");
    await observed(driver, "removed", ({ phase }) => phase === "running");
    await cluster.done("DELETE", `/api/v1/namespaces/${NAMESPACE}/pods/removed`);
    await observed(driver, "removed", ({ reason }) => reason === "Terminating");
    await cluster.confirmDeletion(NAMESPACE, "removed");
    const { reason, detail } = await observed(driver, "removed", ({ phase }) => phase === "ended");
    assert.deepEqual(
      [reason, detail],
      ["Deleted", "its pod was deleted, and how its process ended was not seen"],
    );
    await driver.launch(order("removed"));
    assert.ok(!(await names()).includes("removed"), "a launch that has ended is not started again");
  });

  it("starts nothing for an id that was stopped before", async () => {
    const driver = await driverOf("before");
    await driver.stop("never", { graceMs: 0 });
    assert.equal((await observed(driver, "never", ({ phase }) => phase === "ended")).reason, "NotFound");
    await driver.launch(order("never"));
    assert.ok(!(await names()).includes("never"));
  });

  it("gives a stop its grace, and says what keeps a pod that does not go", async () => {
    const driver = await driverOf("stops", { times: { stuckMs: 200, forceMs: 600_000 } });
    await driver.launch(order("kept", { podSpec: {} }));
    await running("kept");
    await cluster.done("PATCH", `/api/v1/namespaces/${NAMESPACE}/pods/kept`, {
      metadata: { finalizers: ["example.com/volume"] },
    });
    await observed(driver, "kept", ({ phase }) => phase === "running");
    await driver.stop("kept", { graceMs: 40_000 });
    const asked = await cluster.pod(
      NAMESPACE,
      "kept",
      ({ metadata }) => metadata?.deletionTimestamp !== undefined,
    );
    assert.equal(Object(asked.metadata).deletionGracePeriodSeconds, 40);
    await driver.stop("kept", { graceMs: 0 });
    await cluster.pod(NAMESPACE, "kept", ({ metadata }) => Object(metadata).deletionGracePeriodSeconds <= 1);
    const { detail } = await observed(driver, "kept", (each) => /remove it when/.test(each.detail));
    assert.match(
      detail,
      /it is kept by the finalizer example\.com\/volume; remove it when what it waits for is over/,
    );
    assert.ok(
      logged.some(
        ({ event, message }) => event === "launcher.stop_hangs" && /^kept has not ended/.test(message),
      ),
    );
    await cluster.done("PATCH", `/api/v1/namespaces/${NAMESPACE}/pods/kept`, {
      metadata: { finalizers: null },
    });
    await cluster.confirmDeletion(NAMESPACE, "kept");
    await observed(driver, "kept", ({ phase }) => phase === "ended");
  });

  it("removes a pod by force whose node does not confirm its end, and says so", async () => {
    const driver = await driverOf("forced", { times: { stuckMs: 100, forceMs: 300 } });
    await driver.launch(order("hangs"));
    await running("hangs");
    await observed(driver, "hangs", ({ phase }) => phase === "running");
    await driver.stop("hangs", { graceMs: 0 });
    const { detail } = await observed(driver, "hangs", ({ phase }) => phase === "ended");
    assert.match(
      detail,
      /its node did not confirm the end: it was removed by force, and its process may still run/,
    );
    await isGone("hangs");
  });

  it("ends at once what the cluster refuses for good, and names why", async () => {
    await cluster.namespace("restricted", { "pod-security.kubernetes.io/enforce": "restricted" });
    const driver = await driverOf("refused", { user: "admin", namespaces: `${NAMESPACE},restricted` });
    await driver.launch(order("insecure", { podNamespace: "restricted" }));
    const insecure = await observed(driver, "insecure", ({ phase }) => phase === "ended");
    assert.equal(insecure.reason, "PodSecurity");
    assert.match(
      insecure.detail,
      /violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false/,
    );
    await driver.launch(order("misspelt", { podSpec: { hostnam: "x" } }));
    const misspelt = await observed(driver, "misspelt", ({ phase }) => phase === "ended");
    assert.equal(misspelt.reason, "InvalidPod");
    assert.match(misspelt.detail, /unknown field "spec\.hostnam"/);
    await driver.launch(order("account", { serviceAccount: "none" }));
    const account = await observed(driver, "account", ({ phase }) => phase === "ended");
    assert.equal(account.reason, "AdmissionRefused");
    assert.match(account.detail, /serviceaccount "none" not found/);
    await driver.launch(order("elsewhere", { podNamespace: "elsewhere" }));
    const elsewhere = await observed(driver, "elsewhere", ({ phase }) => phase === "ended");
    assert.equal(elsewhere.reason, "NamespaceNotServed");
  });

  it("waits for a quota, and launches when there is room", async () => {
    await cluster.namespace("narrow");
    const quota = { metadata: { name: "pods" }, spec: { hard: { pods: "0" } } };
    await cluster.done("POST", "/api/v1/namespaces/narrow/resourcequotas", quota);
    await cluster.done("PATCH", "/api/v1/namespaces/narrow/resourcequotas/pods/status", {
      status: { hard: { pods: "0" }, used: { pods: "0" } },
    });
    const driver = await driverOf("quota", { user: "admin", namespaces: "narrow" });
    await driver.launch(order("full-up"));
    const { phase, detail } = await observed(driver, "full-up", ({ reason }) => reason === "QuotaExceeded");
    assert.equal(phase, "pending");
    assert.match(detail, /exceeded quota: pods, requested: pods=1, used: pods=0, limited: pods=0/);
    await cluster.done("DELETE", "/api/v1/namespaces/narrow/resourcequotas/pods");
    await cluster.pod("narrow", "full-up");
  });

  it("names the rule that a launcher without rights needs", async () => {
    const driver = await driverOf("rights", { user: "guest" });
    await assert.rejects(
      until("it fails", async () => void (await driver.list())),
      (error: Error) => {
        assert.match(error.message, /User "guest" cannot list resource "pods"/);
        assert.match(
          error.message,
          /add the rule \{ apiGroups: \[""\], resources: \["pods"\], verbs: \["list"\] \} to a Role of namespace workers/,
        );
        return true;
      },
    );
  });

  it("finds the cluster of the pod that it runs in", async () => {
    const { port } = new URL(cluster.server);
    process.env.KUBERNETES_SERVICE_HOST = "127.0.0.1";
    process.env.KUBERNETES_SERVICE_PORT = port;
    try {
      const env = { KUBERNETES_SERVICE_HOST: "127.0.0.1", MUSTER_TOKEN: TOKEN };
      const inside = await findCluster(env, cluster.account("launcher", NAMESPACE));
      assert.deepEqual(inside.namespaces, [NAMESPACE]);
      const context = { launcherId: "inside", folder: "", env, clock: systemClock, log };
      const driver = new KubernetesDriver(context, inside);
      drivers.push(driver);
      await driver.launch(order("inside"));
      await cluster.pod(NAMESPACE, "inside");
    } finally {
      delete process.env.KUBERNETES_SERVICE_HOST;
      delete process.env.KUBERNETES_SERVICE_PORT;
    }
  });

  it("goes on when the API server was away, and when its watch is too old", async () => {
    const driver = await driverOf("away");
    await driver.launch(order("stays"));
    await running("stays");
    await observed(driver, "stays", ({ phase }) => phase === "running");
    await cluster.stopApi();
    await until("it says so", () =>
      logged.find(
        ({ event, message }) => event === "launcher.engine_unreachable" && /cannot be reached/.test(message),
      ),
    );
    assert.ok(
      (await driver.list()).some(({ launchId, phase }) => launchId === "stays" && phase === "running"),
    );
    await driver.launch(order("later"));
    const later = await observed(driver, "later", ({ reason }) => reason === "ApiServerUnreachable");
    assert.equal(later.phase, "pending");
    await cluster.startApi();
    await bound("later");
    await cluster.report(NAMESPACE, "stays", {
      phase: "Succeeded",
      ...container({ terminated: { exitCode: 0, reason: "Completed" } }),
    });
    assert.equal((await observed(driver, "stays", ({ phase }) => phase === "ended")).exitCode, 0);
    assert.ok(logged.some(({ event }) => event === "launcher.engine_reached"));
  });
});

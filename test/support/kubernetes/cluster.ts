/** A Kubernetes cluster for tests: etcd, the API server and the scheduler are real; a test plays the kubelet. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Pod } from "../../../launcher/src/kubernetes/pod.ts";
import { ServerProgram } from "../programs/server-program.ts";
import { freePort } from "../telemetry/prometheus.ts";
import { until } from "../waits.ts";

/** Tokens of the API server by user; `admin` may do everything. */
const TOKENS = { admin: "admin-token", launcher: "launcher-token", guest: "guest-token" } as const;

/** A user of the cluster. */
export type ClusterUser = keyof typeof TOKENS;

/** The only node; what it can hold. */
const NODE = "node-1";
const ALLOCATABLE = { cpu: "8", memory: "16Gi", pods: "200", "ephemeral-storage": "100Gi" };

/** An answer of the API. */
export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>> & { readonly message?: string };
}

/** The cluster. */
export class Cluster {
  readonly folder = mkdtempSync(join(tmpdir(), "muster-cluster-"));
  readonly #program: string;
  #ports: { etcd: number; peer: number; api: number } = { etcd: 0, peer: 0, api: 0 };
  #parts: ServerProgram[] = [];
  #api: ServerProgram | undefined;

  private constructor(program: string) {
    this.#program = program;
  }

  /** Starts all parts; the scheduler binds pods to one node. */
  static async start(program: string): Promise<Cluster> {
    const cluster = new Cluster(program);
    await cluster.#start();
    return cluster;
  }

  get server(): string {
    return `https://127.0.0.1:${this.#ports.api}`;
  }

  /** Path of a kubeconfig of a user. */
  kubeconfig(user: ClusterUser, namespace: string, server = this.server): string {
    const path = join(this.folder, `${user}-${namespace}.kubeconfig`);
    const ca = readFileSync(join(this.folder, "certs/apiserver.crt")).toString("base64");
    const config = {
      ...{ apiVersion: "v1", kind: "Config", "current-context": "test" },
      clusters: [{ name: "test", cluster: { server, "certificate-authority-data": ca } }],
      users: [{ name: user, user: { token: TOKENS[user] } }],
      contexts: [{ name: "test", context: { cluster: "test", user, namespace } }],
    };
    writeFileSync(path, JSON.stringify(config));
    return path;
  }

  /** Writes the files of a service account as they are in a pod; returns the folder that takes the place of `/`. */
  account(user: ClusterUser, namespace: string): string {
    const root = mkdtempSync(join(this.folder, "root-"));
    const folder = join(root, "var/run/secrets/kubernetes.io/serviceaccount");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "token"), TOKENS[user]);
    writeFileSync(join(folder, "namespace"), namespace);
    writeFileSync(join(folder, "ca.crt"), readFileSync(join(this.folder, "certs/apiserver.crt")));
    return root;
  }

  /** Calls the API as a user. */
  call(method: string, path: string, body?: unknown, user: ClusterUser = "admin"): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = request(
        `${this.server}${path}`,
        {
          ...{ method, rejectUnauthorized: false, agent: false },
          headers: {
            authorization: `Bearer ${TOKENS[user]}`,
            "content-type": method === "PATCH" ? "application/merge-patch+json" : "application/json",
          },
        },
        (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (part: string) => {
            text += part;
          });
          response.once("error", reject);
          response.once("end", () =>
            resolve({
              status: response.statusCode ?? 0,
              body: text.startsWith("{") ? JSON.parse(text) : { message: text },
            }),
          );
        },
      );
      sent.once("error", reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** The same, and it must succeed. */
  async done(method: string, path: string, body?: unknown): Promise<Answer["body"]> {
    const { status, body: answer } = await this.call(method, path, body);
    assert.ok(status >= 200 && status < 300, `${method} ${path}: ${status} ${answer.message}`);
    return answer;
  }

  /** Makes a namespace with what the controllers make in a real cluster. */
  async namespace(name: string, labels: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.done("POST", "/api/v1/namespaces", { metadata: { name, labels } });
    await this.done("POST", `/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name: "default" } });
  }

  async pods(namespace: string): Promise<Pod[]> {
    const { items } = await this.done("GET", `/api/v1/namespaces/${namespace}/pods`);
    return items as Pod[];
  }

  /** A pod, once it is there and `holds` of it. */
  async pod(namespace: string, name: string, holds: (pod: Pod) => boolean = () => true): Promise<Pod> {
    return until(`the pod ${name} is as wanted`, async () => {
      const { status, body } = await this.call("GET", `/api/v1/namespaces/${namespace}/pods/${name}`);
      const pod = body as Pod;
      return status === 200 && holds(pod) ? pod : undefined;
    });
  }

  /** What a kubelet reports of a pod. */
  async report(namespace: string, name: string, status: Pod["status"]): Promise<void> {
    await this.done("PATCH", `/api/v1/namespaces/${namespace}/pods/${name}/status`, { status });
  }

  /** What a kubelet does when the containers of a pod that is to be gone have ended. */
  async confirmDeletion(namespace: string, name: string): Promise<void> {
    await this.done("DELETE", `/api/v1/namespaces/${namespace}/pods/${name}?gracePeriodSeconds=0`);
  }

  /** An event as the kubelet writes it. */
  async event(pod: Pod, reason: string, message: string): Promise<void> {
    const { namespace = "", name = "", uid } = pod.metadata ?? {};
    await this.done("POST", `/api/v1/namespaces/${namespace}/events`, {
      metadata: { name: `${name}.${reason.toLowerCase()}`, namespace },
      involvedObject: { apiVersion: "v1", kind: "Pod", name, namespace, uid },
      ...{ type: "Warning", reason, message, source: { component: "kubelet" } },
    });
  }

  /** Kills the API server; etcd keeps everything. */
  async stopApi(): Promise<void> {
    await this.#api?.stop();
    this.#api = undefined;
  }

  async startApi(): Promise<void> {
    const { etcd, api } = this.#ports;
    this.#api = await ServerProgram.start({
      ...{ name: "the API server", program: this.#program, signal: "SIGKILL" },
      folder: mkdtempSync(join(tmpdir(), "muster-api-")),
      args: [
        ...["apiserver", `--etcd-servers=http://127.0.0.1:${etcd}`, `--secure-port=${api}`],
        ...["--bind-address=127.0.0.1", "--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none"],
        ...[`--cert-dir=${join(this.folder, "certs")}`, "--service-cluster-ip-range=10.0.0.0/24"],
        ...[`--token-auth-file=${join(this.folder, "tokens")}`, "--authorization-mode=RBAC"],
        ...["--service-account-issuer=https://kubernetes.default.svc", "--profiling=false"],
        `--service-account-key-file=${join(this.folder, "account.pem")}`,
        `--service-account-signing-key-file=${join(this.folder, "account.key")}`,
      ],
      isReady: () =>
        this.call("GET", "/readyz").then(
          ({ status }) => status === 200,
          () => false,
        ),
    });
  }

  async stop(): Promise<void> {
    await this.stopApi();
    for (const part of this.#parts.toReversed()) await part.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #start(): Promise<void> {
    this.#ports = { etcd: await freePort(), peer: await freePort(), api: await freePort() };
    const { etcd, peer } = this.#ports;
    const keys = generateKeyPairSync("rsa", { modulusLength: 2_048 });
    writeFileSync(join(this.folder, "account.key"), keys.privateKey.export({ type: "pkcs1", format: "pem" }));
    writeFileSync(join(this.folder, "account.pem"), keys.publicKey.export({ type: "spki", format: "pem" }));
    const tokens = Object.entries(TOKENS).map(([user, token]) =>
      [token, user, user, ...(user === "admin" ? ["system:masters"] : [])].join(","),
    );
    writeFileSync(join(this.folder, "tokens"), `${tokens.join("\n")}\n`);
    const client = `http://127.0.0.1:${etcd}`;
    const peers = `http://127.0.0.1:${peer}`;
    const data = mkdtempSync(join(tmpdir(), "muster-etcd-"));
    this.#parts.push(
      await ServerProgram.start({
        ...{ name: "etcd", program: this.#program, folder: data, signal: "SIGKILL" },
        args: [
          ...["etcd", `--data-dir=${data}`, "--unsafe-no-fsync", "--log-level=error"],
          ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
          ...[`--listen-peer-urls=${peers}`, `--initial-advertise-peer-urls=${peers}`],
          `--initial-cluster=default=${peers}`,
        ],
        isReady: () =>
          fetch(`${client}/health`).then(
            ({ ok }) => ok,
            () => false,
          ),
      }),
    );
    await this.startApi();
    await this.#makeNode();
    this.#parts.push(
      await ServerProgram.start({
        ...{ name: "the scheduler of Kubernetes", program: this.#program, signal: "SIGKILL" },
        folder: mkdtempSync(join(tmpdir(), "muster-kube-scheduler-")),
        args: [
          ...["scheduler", `--kubeconfig=${this.kubeconfig("admin", "default")}`, "--leader-elect=false"],
          ...["--secure-port=0", "--authorization-always-allow-paths=/healthz"],
        ],
        // The first pod that it binds shows that it works.
        isReady: () => true,
      }),
    );
  }

  async #makeNode(): Promise<void> {
    await this.done("POST", "/api/v1/nodes", {
      metadata: { name: NODE, labels: { "kubernetes.io/hostname": NODE } },
    });
    await this.done("PATCH", `/api/v1/nodes/${NODE}/status`, {
      status: {
        capacity: ALLOCATABLE,
        allocatable: ALLOCATABLE,
        conditions: [{ type: "Ready", status: "True", reason: "KubeletReady", message: "" }],
      },
    });
    // The controller of node lifecycles would take it away.
    await this.done("PATCH", `/api/v1/nodes/${NODE}`, { spec: { taints: null } });
  }
}

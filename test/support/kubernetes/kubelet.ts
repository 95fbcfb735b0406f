/** Plays the kubelet of the only node: runs the worker of a pod as a process, and reports what it does. */
import { type ChildProcess, spawn } from "node:child_process";
import { env } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import type { Pod } from "../../../launcher/src/kubernetes/pod.ts";
import type { Cluster } from "./cluster.ts";

/** Between two looks at the pods, milliseconds. */
const LOOK_MS = 50;

interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly secretKeyRef?: { readonly name: string; readonly key: string } };
}

/** What is reported of pods with an image of this name instead of running them. */
export type Plays = Readonly<Record<string, Pod["status"]>>;

/** Status of a container. */
export function containerStatus(state: object, lastState: object = {}): NonNullable<Pod["status"]> {
  const rest = { image: "x", imageID: "", ready: false, restartCount: 0 };
  return { containerStatuses: [{ name: "worker", state, lastState, ...rest } as never] };
}

/** The kubelet. */
export class Kubelet {
  /** How often the worker of each pod was started. */
  readonly starts = new Map<string, number>();
  readonly #cluster: Cluster;
  readonly #namespace: string;
  readonly #plays: Plays;
  readonly #processes = new Map<string, ChildProcess>();
  /** What is to be reported of each pod: a report that fails is repeated at the next look. */
  readonly #due = new Map<string, Pod["status"]>();
  readonly #seen = new Set<string>();
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;

  constructor(cluster: Cluster, namespace: string, plays: Plays = {}) {
    this.#cluster = cluster;
    this.#namespace = namespace;
    this.#plays = plays;
    this.#running = this.#run();
  }

  /** Kills all workers. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    for (const child of this.#processes.values()) child.kill("SIGKILL");
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      // The API server may be away, and a pod may change meanwhile: a kubelet looks again. What does not pass lets the wait of the
      // test for the pod fail.
      const pods = await this.#cluster.pods(this.#namespace).catch(() => []);
      for (const pod of pods) await this.#look(pod).catch(() => undefined);
      await delay(LOOK_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async #look(pod: Pod): Promise<void> {
    const { name = "", uid = "", deletionTimestamp } = pod.metadata ?? {};
    if (pod.spec?.nodeName === undefined) return;
    const child = this.#processes.get(uid);
    if (deletionTimestamp !== undefined) {
      if (child && child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      else await this.#cluster.confirmDeletion(this.#namespace, name);
      return;
    }
    const due = this.#due.get(uid);
    if (due) {
      await this.#cluster.report(this.#namespace, name, due);
      // It may have ended meanwhile.
      if (this.#due.get(uid) === due) this.#due.delete(uid);
    }
    if (this.#seen.has(uid)) return;
    const [container] = Object(pod.spec).containers;
    const played = this.#plays[container.image];
    if (played) this.#due.set(uid, played);
    else await this.#start(name, uid, container);
    this.#seen.add(uid);
  }

  async #start(name: string, uid: string, container: { command: string[]; env: Variable[] }): Promise<void> {
    const variables: Record<string, string> = {};
    for (const variable of container.env) variables[variable.name] = await this.#valueOf(variable);
    const [program = "", ...args] = container.command;
    const child = spawn(program, args, {
      env: { PATH: env.PATH, ...variables },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#processes.set(uid, child);
    this.starts.set(name, (this.starts.get(name) ?? 0) + 1);
    let errors = "";
    child.stderr.on("data", (part: Buffer) => {
      errors = `${errors}${part}`.slice(-2_000);
    });
    child.once("close", (code, signal) => {
      const exitCode = code ?? (signal === "SIGKILL" ? 137 : 143);
      const terminated = { exitCode, reason: exitCode === 0 ? "Completed" : "Error", message: errors };
      const status = { phase: exitCode === 0 ? "Succeeded" : "Failed", ...containerStatus({ terminated }) };
      this.#due.set(uid, status);
    });
    this.#due.set(uid, { phase: "Running", ...containerStatus({ running: {} }) });
  }

  /** @throws Error while the Secret is not there: the next look tries again, as a kubelet does. */
  async #valueOf({ value = "", valueFrom }: Variable): Promise<string> {
    const reference = valueFrom?.secretKeyRef;
    if (!reference) return value;
    const path = `/api/v1/namespaces/${this.#namespace}/secrets/${reference.name}`;
    const { data } = await this.#cluster.done("GET", path);
    return Buffer.from(Object(data)[reference.key], "base64").toString();
  }
}

/** Finds the cluster: a kubeconfig, or the service account of the pod that the launcher runs in. */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import type { KubeConfig } from "@kubernetes/client-node";
import type { Environment } from "../environment.ts";
import { SetupError } from "../setup-error.ts";

const ACCOUNT = "var/run/secrets/kubernetes.io/serviceaccount";

/** A cluster, and the namespaces in which the launcher works. */
export interface ClusterConfig {
  readonly config: KubeConfig;
  readonly server: string;
  readonly namespaces: readonly [string, ...string[]];
}

/**
 * The cluster of `KUBECONFIG`, else of the pod, else of ~/.kube/config. Namespaces are those of `MUSTER_KUBERNETES_NAMESPACES`,
 * else that of the context or of the pod.
 *
 * @param root Where the pod's files are.
 * @throws SetupError when there is none, or it cannot be read.
 */
export async function findCluster(env: Environment, root = "/"): Promise<ClusterConfig> {
  const { KubeConfig: Config } = await loadLibrary();
  const config = new Config();
  const account = join(root, ACCOUNT);
  const home = join(homedir(), ".kube", "config");
  const [first, ...further] = (env.KUBECONFIG ?? "").split(delimiter).filter(Boolean);
  const inCluster = env.KUBERNETES_SERVICE_HOST !== undefined && existsSync(join(account, "token"));
  const [source, load] = first
    ? [first, () => loadFiles(config, Config, [first, ...further])]
    : inCluster
      ? [account, () => config.loadFromCluster(root.replace(/\/$/, ""))]
      : [home, () => loadFiles(config, Config, [home])];
  if (!inCluster && !first && !existsSync(home))
    throw new SetupError("no Kubernetes cluster is configured", {
      remedy:
        "set KUBECONFIG, or run the launcher in a pod with a service account (deploy/kubernetes/launcher.yaml)",
    });
  try {
    load();
  } catch (error) {
    throw new SetupError(
      `${source} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      {
        remedy: "correct KUBECONFIG",
        cause: error,
      },
    );
  }
  const server = config.getCurrentCluster()?.server;
  if (!server)
    throw new SetupError(
      `${source} has no cluster for its current context ${config.getCurrentContext() || "(none)"}`,
      {
        remedy: "choose one with `kubectl config use-context`",
      },
    );
  const named = (env.MUSTER_KUBERNETES_NAMESPACES ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter(Boolean);
  const own = inCluster && !first ? readFileSync(join(account, "namespace"), "utf8").trim() : undefined;
  const context = config.getContextObject(config.getCurrentContext())?.namespace;
  const [namespace = own || context || "default", ...others] = [...new Set(named)];
  for (const each of [namespace, ...others]) {
    if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(each))
      throw new SetupError(`MUSTER_KUBERNETES_NAMESPACES: "${each}" is no name of a namespace`, {
        remedy: "give names with commas between them, for example workers,gpu-workers",
      });
  }
  return { config, server, namespaces: [namespace, ...others] };
}

function loadFiles(config: KubeConfig, Config: new () => KubeConfig, files: readonly string[]): void {
  const [first = "", ...further] = files;
  config.loadFromFile(first);
  for (const file of further) {
    const more = new Config();
    more.loadFromFile(file);
    config.mergeConfig(more);
  }
}

/** Not among the dependencies: it has 62 MB. */
async function loadLibrary(): Promise<typeof import("@kubernetes/client-node")> {
  try {
    return await import("@kubernetes/client-node");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND")) throw error;
    throw new SetupError(
      "the driver kubernetes needs the package @kubernetes/client-node, which is not installed",
      {
        remedy: "run `npm install @kubernetes/client-node@1` where @muster/cli is installed",
        cause: error,
      },
    );
  }
}

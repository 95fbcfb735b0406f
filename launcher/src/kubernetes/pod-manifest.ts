/** The pod of a launch, and the Secret with the values that only the launcher has. */
import { createHash } from "node:crypto";
import type { KubernetesTemplate, KubernetesVolume } from "@muster/protocol";
import type { LaunchOrder } from "../driver.ts";
import type { Environment } from "../environment.ts";
import { LABELS, STARTUP_ANNOTATION, WORKER } from "./pod.ts";

/** Longest grace of a stop, seconds: it applies when the pod is deleted by another client. */
const GRACE_S = 60;

/** Variables of the launcher that mean something on its own machine alone. */
const LOCAL = [
  ...["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR"],
  ...["MUSTER_TLS_CA", "MUSTER_TLS_CERT", "MUSTER_TLS_KEY"],
];

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
type JsonObject = { readonly [key: string]: Json };

/** What is made of an order. */
export interface Manifests {
  readonly pod: JsonObject;
  /** Values of the Secret by variable; empty when the pod needs none. */
  readonly secrets: Readonly<Record<string, string>>;
}

/** A launcher's id as the value of a label. */
export function launcherLabel(launcherId: string): string {
  if (/^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(launcherId)) return launcherId;
  return createHash("sha256").update(launcherId).digest("hex").slice(0, 32);
}

/** Labels of everything that belongs to a launch. */
export function launchLabels(launchId: string, pool: string, launcherId: string): Record<string, string> {
  return {
    "app.kubernetes.io/managed-by": "muster-launcher",
    [LABELS.launch]: launchId,
    [LABELS.pool]: pool,
    [LABELS.launcher]: launcherLabel(launcherId),
  };
}

/**
 * The pod of an order. It never restarts: a launch is one process.
 *
 * @param launcherEnv What the order's environment was made from.
 */
export function toManifests(
  order: LaunchOrder,
  template: KubernetesTemplate,
  namespace: string,
  launcherId: string,
  launcherEnv: Environment,
): Manifests {
  const { launchId, pool, command, secretNames } = order;
  const ofCluster = new Set(template.secretEnv.map(({ name }) => name));
  const variables = Object.entries(order.env).filter(
    ([name, value]) =>
      !ofCluster.has(name) &&
      !(LOCAL.includes(name) && !secretNames.includes(name) && value === launcherEnv[name]),
  );
  const hidden = new Set([
    ...secretNames,
    ...(order.env.MUSTER_TOKEN === launcherEnv.MUSTER_TOKEN ? ["MUSTER_TOKEN"] : []),
  ]);
  const secrets = Object.fromEntries(variables.filter(([name]) => hidden.has(name)));
  const env: Json[] = [
    ...variables.filter(([name]) => !hidden.has(name)).map(([name, value]) => ({ name, value })),
    ...Object.keys(secrets).map((name) => fromSecret(name, launchId, name)),
    ...template.secretEnv.map(({ name, secret, key }) => fromSecret(name, secret, key)),
  ];
  const { serviceAccount, runtimeClass, priorityClass, workingDir, imagePullPolicy } = template;
  const spec: JsonObject = {
    restartPolicy: "Never",
    terminationGracePeriodSeconds: GRACE_S,
    // A Service called muster would set MUSTER_PORT and the like.
    enableServiceLinks: false,
    // A worker needs nothing of the cluster's API, unless its account says so.
    ...(serviceAccount === ""
      ? { automountServiceAccountToken: false }
      : { serviceAccountName: serviceAccount }),
    ...(runtimeClass === "" ? {} : { runtimeClassName: runtimeClass }),
    ...(priorityClass === "" ? {} : { priorityClassName: priorityClass }),
    ...listOf(
      "imagePullSecrets",
      template.imagePullSecrets.map((name) => ({ name })),
    ),
    ...objectOf("nodeSelector", template.nodeSelector),
    ...listOf("tolerations", template.tolerations.map(tolerationOf)),
    ...listOf("volumes", template.volumes.map(volumeOf)),
    containers: [
      {
        name: WORKER,
        image: template.image,
        ...(imagePullPolicy === "" ? {} : { imagePullPolicy }),
        ...listOf("command", command),
        ...(workingDir === "" ? {} : { workingDir }),
        env,
        resources: { ...objectOf("requests", template.requests), ...objectOf("limits", template.limits) },
        ...listOf("volumeMounts", template.volumes.map(mountOf)),
        // The end of the output is in the pod's status, also where the right to read logs is missing.
        terminationMessagePolicy: "FallbackToLogsOnError",
      },
    ],
  };
  const startupS = Math.ceil(order.startupTimeoutMs / 1_000);
  return {
    pod: {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: launchId,
        namespace,
        labels: { ...template.labels, ...launchLabels(launchId, pool, launcherId) },
        annotations: { ...template.annotations, [STARTUP_ANNOTATION]: String(startupS) },
      },
      spec: merged(spec, (template.podSpec ?? {}) as JsonObject) as JsonObject,
    },
    secrets,
  };
}

/** The Secret of a launch; it goes with its pod. */
export function toSecret(
  order: LaunchOrder,
  values: Readonly<Record<string, string>>,
  namespace: string,
  launcherId: string,
  podUid: string,
): JsonObject {
  const { launchId, pool } = order;
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: launchId,
      namespace,
      labels: launchLabels(launchId, pool, launcherId),
      ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: launchId, uid: podUid }],
    },
    type: "Opaque",
    immutable: true,
    stringData: { ...values },
  };
}

/** Objects by field, lists of named objects by name, other lists of objects appended, everything else replaced. */
export function merged(base: Json, over: Json): Json {
  if (isObject(base) && isObject(over)) {
    const result: Record<string, Json> = { ...base };
    for (const [key, value] of Object.entries(over)) {
      const before = result[key];
      result[key] = before === undefined ? value : merged(before, value);
    }
    return result;
  }
  if (isList(base) && isList(over) && [...base, ...over].every(isObject)) return mergedLists(base, over);
  return over;
}

function mergedLists(base: readonly Json[], over: readonly Json[]): Json[] {
  const result = [...base];
  for (const entry of over) {
    const name = isObject(entry) ? entry.name : undefined;
    const at = result.findIndex((each) => isObject(each) && name !== undefined && each.name === name);
    const before = result[at];
    if (before === undefined) result.push(entry);
    // An entry of a worker's variables replaces the other one: value and reference exclude each other.
    else
      result[at] =
        isObject(entry) && ("value" in entry || "valueFrom" in entry) ? entry : merged(before, entry);
  }
  return result;
}

function fromSecret(name: string, secret: string, key: string): Json {
  return { name, valueFrom: { secretKeyRef: { name: secret, key } } };
}

function tolerationOf({ key, comparison, value, effect }: KubernetesTemplate["tolerations"][number]): Json {
  return {
    ...(key === "" ? {} : { key }),
    ...(comparison === "" ? {} : { operator: comparison }),
    ...(value === "" ? {} : { value }),
    ...(effect === "" ? {} : { effect }),
  };
}

function volumeOf({ name, source }: KubernetesVolume): Json {
  const limit = source.value === "0" || source.value === undefined ? {} : { sizeLimit: source.value };
  switch (source.case) {
    case "claim":
      return { name, persistentVolumeClaim: { claimName: source.value } };
    case "configMap":
      return { name, configMap: { name: source.value } };
    case "secret":
      return { name, secret: { secretName: source.value } };
    case "memory":
      return { name, emptyDir: { medium: "Memory", ...limit } };
    case "hostPath":
      return { name, hostPath: { path: source.value } };
    case "emptyDir":
    case undefined:
      return { name, emptyDir: limit };
    default: {
      const unknown: never = source;
      throw new TypeError(`unknown source of a volume ${JSON.stringify(unknown)}`);
    }
  }
}

function mountOf({ name, mountPath, readOnly, subPath }: KubernetesVolume): Json {
  return {
    ...{ name, mountPath },
    ...(readOnly ? { readOnly } : {}),
    ...(subPath === "" ? {} : { subPath }),
  };
}

function listOf(key: string, list: readonly Json[]): JsonObject {
  return list.length === 0 ? {} : { [key]: list };
}

function objectOf(key: string, object: Readonly<Record<string, string>>): JsonObject {
  return Object.keys(object).length === 0 ? {} : { [key]: { ...object } };
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

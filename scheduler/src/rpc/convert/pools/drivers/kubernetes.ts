/** Settings of the driver `kubernetes`. */
import type { JsonObject } from "@bufbuild/protobuf";
import { quoted } from "@muster/common/text/text";
import type { KubernetesTemplate, KubernetesVolume } from "@muster/protocol";
import type * as domain from "../../../../domain/pools/engines/kubernetes-settings.ts";
import { isStorable } from "../../values/text.ts";
import type { DriverConverter, Report } from "./driver.ts";
import { checkPodSpec } from "./pod-spec.ts";

const MAX_IMAGE = 512;
const MAX_PULL_SECRETS = 20;
const MAX_RESOURCES = 32;
const MAX_ENTRIES = 64;
const MAX_SECRET_VARIABLES = 100;
const MAX_PATH = 4_096;
const MAX_ANNOTATIONS = 65_536;

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const LABEL_RULE =
  "has not the form of a DNS label: 1 to 63 of a-z 0-9 -, with a letter or digit at both ends";
const SUBDOMAIN = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;
const SUBDOMAIN_RULE =
  "is no name of Kubernetes: at most 253 of a-z 0-9 . -, with a letter or digit at both ends";
const KEY =
  /^(?:(?=[^/]{1,253}\/)[a-z0-9]([a-z0-9.-]*[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const KEY_RULE = "is no name of a label: 1 to 63 of A-Z a-z 0-9 . _ - after an optional domain and /";
const VALUE = /^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/;
const VALUE_RULE =
  "is no value of a label: at most 63 of A-Z a-z 0-9 . _ -, with a letter or digit at both ends";
const QUANTITY = /^\d{1,18}(\.\d{1,9})?([mk]|[KMGTPE]i?|[eE][+-]?\d{1,2})?$/;
const QUANTITY_RULE = "is no quantity: write 500m, 2 or 4Gi";
const CONFIG_KEY = /^[A-Za-z0-9._-]{1,253}$/;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,255}$/;
/** What the registry makes of it is for the cluster; here it only must not be split or hidden. */
const IMAGE = /^[A-Za-z0-9][^\s\p{C}]*$/u;

const POLICIES = ["", "Always", "IfNotPresent", "Never"];
const COMPARISONS = ["", "Equal", "Exists"];
const EFFECTS = ["", "NoSchedule", "PreferNoSchedule", "NoExecute"];

/** Labels and annotations that the launcher sets. */
const OWN = "muster.dev/";

/** Both directions. */
export const kubernetesConverter: DriverConverter<"kubernetes"> = {
  to(value, { command, env, secrets }, reportBelowSpec) {
    const report: Report = (field, description) =>
      reportBelowSpec(`launch_template.kubernetes.${field}`, description);
    if (command[0] === "") reportBelowSpec("launch_template.command", "begins with an empty word");
    checkImage(value.image, report);
    if (value.podNamespace !== "" && !LABEL.test(value.podNamespace))
      report("pod_namespace", `${quoted(value.podNamespace, 100)} ${LABEL_RULE}`);
    checkWord(value.imagePullPolicy, POLICIES, "image_pull_policy", report);
    checkCount(value.imagePullSecrets.length, MAX_PULL_SECRETS, "image_pull_secrets", report);
    for (const name of value.imagePullSecrets) checkName(name, "image_pull_secrets", report);
    checkQuantities(value.requests, "requests", report);
    checkQuantities(value.limits, "limits", report);
    checkLabels(value.nodeSelector, "node_selector", report);
    checkTolerations(value, report);
    for (const [field, name] of [
      ["service_account", value.serviceAccount],
      ["runtime_class", value.runtimeClass],
      ["priority_class", value.priorityClass],
    ] as const)
      if (name !== "") checkName(name, field, report);
    if (value.workingDir !== "") checkPath(value.workingDir, "working_dir", report);
    const taken = new Set([...Object.keys(env), ...secrets.map(({ name }) => name)]);
    checkSecretVariables(value, taken, report);
    checkVolumes(value.volumes, report);
    checkLabels(value.labels, "labels", report);
    checkOwn(value.labels, "labels", report);
    checkAnnotations(value.annotations, report);
    const podSpec = value.podSpec ?? {};
    checkPodSpec(podSpec, (description) => report("pod_spec", description));
    return {
      driver: "kubernetes",
      ...{ podNamespace: value.podNamespace, image: value.image, imagePullPolicy: value.imagePullPolicy },
      ...{ imagePullSecrets: value.imagePullSecrets, requests: value.requests, limits: value.limits },
      ...{ nodeSelector: value.nodeSelector, serviceAccount: value.serviceAccount },
      ...{ runtimeClass: value.runtimeClass, priorityClass: value.priorityClass },
      ...{ workingDir: value.workingDir, labels: value.labels, annotations: value.annotations },
      tolerations: value.tolerations.map(({ key, comparison, value: equal, effect }) => ({
        ...{ key, comparison, value: equal, effect },
      })),
      secretEnv: value.secretEnv.map(({ name, secret, key }) => ({ name, secret, key })),
      volumes: value.volumes.map(toVolume),
      podSpec,
    };
  },

  from: ({ driver: _, podSpec, volumes, ...settings }) => ({
    case: "kubernetes",
    value: {
      ...settings,
      imagePullSecrets: [...settings.imagePullSecrets],
      requests: { ...settings.requests },
      limits: { ...settings.limits },
      nodeSelector: { ...settings.nodeSelector },
      tolerations: [...settings.tolerations],
      secretEnv: [...settings.secretEnv],
      labels: { ...settings.labels },
      annotations: { ...settings.annotations },
      volumes: volumes.map(({ source, of, ...volume }) => ({
        ...volume,
        source: { case: source, value: of },
      })),
      ...(Object.keys(podSpec).length === 0 ? {} : { podSpec: podSpec as JsonObject }),
    },
  }),
};

function toVolume({ name, mountPath, readOnly, subPath, source }: KubernetesVolume): domain.PodVolume {
  return { name, mountPath, readOnly, subPath, source: source.case ?? "emptyDir", of: source.value ?? "" };
}

function checkImage(image: string, report: Report): void {
  if (image === "") report("image", "is empty: name the image of the worker");
  else if (image.length > MAX_IMAGE || !IMAGE.test(image))
    report(
      "image",
      `${quoted(image, 100)} is no image: at most ${MAX_IMAGE} characters without spaces, for example registry.example.com/worker:1`,
    );
}

function checkTolerations({ tolerations }: KubernetesTemplate, report: Report): void {
  checkCount(tolerations.length, MAX_ENTRIES, "tolerations", report);
  for (const [index, { key, comparison, value, effect }] of tolerations.slice(0, MAX_ENTRIES).entries()) {
    const at = `tolerations[${index}]`;
    if (key !== "" && !KEY.test(key)) report(`${at}.key`, `${quoted(key, 100)} ${KEY_RULE}`);
    if (key === "" && comparison !== "Exists")
      report(`${at}.key`, "is empty: only the comparison Exists allows it");
    checkWord(comparison, COMPARISONS, `${at}.comparison`, report);
    if (!VALUE.test(value)) report(`${at}.value`, `${quoted(value, 100)} ${VALUE_RULE}`);
    else if (value !== "" && comparison === "Exists")
      report(`${at}.value`, "is not allowed with the comparison Exists");
    checkWord(effect, EFFECTS, `${at}.effect`, report);
  }
}

function checkSecretVariables(
  { secretEnv }: KubernetesTemplate,
  taken: ReadonlySet<string>,
  report: Report,
): void {
  checkCount(secretEnv.length, MAX_SECRET_VARIABLES, "secret_env", report);
  const seen = new Set(taken);
  for (const [index, { name, secret, key }] of secretEnv.slice(0, MAX_SECRET_VARIABLES).entries()) {
    const at = `secret_env[${index}]`;
    if (!VARIABLE.test(name)) report(`${at}.name`, `${quoted(name, 100)} is no name of a variable`);
    else if (/^(MUSTER_LAUNCH_ID|MUSTER_POOL|WORKER_ID)$/.test(name))
      report(`${at}.name`, `${name} is set by the launcher`);
    else if (seen.has(name)) report(`${at}.name`, `${quoted(name, 100)} is set twice`);
    seen.add(name);
    checkName(secret, `${at}.secret`, report);
    if (!CONFIG_KEY.test(key))
      report(`${at}.key`, `${quoted(key, 100)} is no key of a Secret: 1 to 253 of A-Z a-z 0-9 . _ -`);
  }
}

function checkVolumes(volumes: readonly KubernetesVolume[], report: Report): void {
  checkCount(volumes.length, MAX_ENTRIES, "volumes", report);
  const seen = new Set<string>();
  for (const [index, { name, mountPath, subPath, source }] of volumes.slice(0, MAX_ENTRIES).entries()) {
    const at = `volumes[${index}]`;
    if (!LABEL.test(name)) report(`${at}.name`, `${quoted(name, 100)} ${LABEL_RULE}`);
    else if (seen.has(name)) report(`${at}.name`, `${quoted(name, 100)} is there twice`);
    seen.add(name);
    checkPath(mountPath, `${at}.mount_path`, report);
    if (
      subPath.length > MAX_PATH ||
      subPath.startsWith("/") ||
      subPath.split("/").includes("..") ||
      !isStorable(subPath)
    )
      report(`${at}.sub_path`, `is no path below the volume of at most ${MAX_PATH} characters`);
    switch (source.case) {
      case undefined:
        report(at, "names no source: set claim, config_map, secret, empty_dir, memory or host_path");
        break;
      case "emptyDir":
      case "memory":
        if (!QUANTITY.test(source.value)) report(at, `${quoted(source.value, 100)} ${QUANTITY_RULE}, or 0`);
        break;
      case "hostPath":
        checkPath(source.value, `${at}.host_path`, report);
        break;
      default:
        checkName(source.value, at, report);
    }
  }
}

function checkAnnotations(annotations: Readonly<Record<string, string>>, report: Report): void {
  const entries = Object.entries(annotations);
  checkCount(entries.length, MAX_ENTRIES, "annotations", report);
  for (const [key] of entries.slice(0, MAX_ENTRIES))
    if (!KEY.test(key)) report("annotations", `${quoted(key, 100)} ${KEY_RULE}`);
  const characters = entries.flat().join("").length;
  if (characters > MAX_ANNOTATIONS)
    report("annotations", `has ${characters} characters; at most ${MAX_ANNOTATIONS} are allowed`);
  if (!entries.flat().every(isStorable)) report("annotations", "holds a NUL or half of a character");
  checkOwn(annotations, "annotations", report);
}

function checkOwn(entries: Readonly<Record<string, string>>, field: string, report: Report): void {
  for (const key of Object.keys(entries))
    if (key.startsWith(OWN)) report(field, `${quoted(key, 100)} is set by the launcher`);
}

function checkLabels(labels: Readonly<Record<string, string>>, field: string, report: Report): void {
  const entries = Object.entries(labels);
  checkCount(entries.length, MAX_ENTRIES, field, report);
  for (const [key, value] of entries.slice(0, MAX_ENTRIES)) {
    if (!KEY.test(key)) report(field, `${quoted(key, 100)} ${KEY_RULE}`);
    if (!VALUE.test(value)) report(field, `${quoted(key, 100)}: ${quoted(value, 100)} ${VALUE_RULE}`);
  }
}

function checkQuantities(amounts: Readonly<Record<string, string>>, field: string, report: Report): void {
  const entries = Object.entries(amounts);
  checkCount(entries.length, MAX_RESOURCES, field, report);
  for (const [resource, amount] of entries.slice(0, MAX_RESOURCES)) {
    if (!KEY.test(resource)) report(field, `${quoted(resource, 100)} is no name of a resource`);
    if (!QUANTITY.test(amount))
      report(field, `${quoted(resource, 100)}: ${quoted(amount, 100)} ${QUANTITY_RULE}`);
  }
}

function checkName(name: string, field: string, report: Report): void {
  if (!SUBDOMAIN.test(name)) report(field, `${quoted(name, 100)} ${SUBDOMAIN_RULE}`);
}

function checkPath(path: string, field: string, report: Report): void {
  if (!path.startsWith("/") || path.length > MAX_PATH || path.includes(":") || !isStorable(path))
    report(
      field,
      `${quoted(path, 100)} is no absolute path of at most ${MAX_PATH} characters without NUL and :`,
    );
}

function checkWord(word: string, allowed: readonly string[], field: string, report: Report): void {
  if (!allowed.includes(word))
    report(field, `${quoted(word, 100)} is not one of ${allowed.filter(Boolean).join(", ")}`);
}

function checkCount(count: number, most: number, field: string, report: Report): void {
  if (count > most) report(field, `has ${count} entries; at most ${most} are allowed`);
}

/** What a pod's status means for its launch. */
import { constants } from "node:os";
import type { ObservedLaunch } from "../driver.ts";
import { type ContainerStatus, type Pod, type PodCondition, type Terminated, WORKER } from "./pod.ts";

/** What a pod shows of its launch, without its output. */
export type PodView = Pick<
  ObservedLaunch,
  "phase" | "reason" | "detail" | "exitCode" | "signal" | "outOfMemory"
> & {
  /** The end of the output as the status has it. */
  readonly message: string;
};

/** Reasons of a waiting container that say nothing but that it is being started. */
const STARTING: ReadonlySet<string> = new Set(["ContainerCreating", "PodInitializing"]);

/** Reasons of an ended container that its exit code says better. */
const PLAIN_ENDS: ReadonlySet<string> = new Set(["Completed", "Error"]);

/** Reasons of a container whose command could not be started. */
const START_ERRORS: ReadonlySet<string> = new Set(["StartError", "ContainerCannotRun"]);

/** Why the cluster takes a pod away, by the reason of the condition DisruptionTarget, as one word each. */
const DISRUPTIONS: Readonly<Record<string, string>> = {
  PreemptionByScheduler: "Preempted",
  DeletionByTaintManager: "NodeLost",
  DeletionByPodGC: "NodeLost",
  EvictionByEvictionAPI: "Evicted",
  TerminationByKubelet: "Evicted",
};

/** The same by the reason of the pod itself. */
const POD_DISRUPTIONS: Readonly<Record<string, string>> = {
  Evicted: "Evicted",
  Preempting: "Preempted",
  Preempted: "Preempted",
  NodeLost: "NodeLost",
  NodeShutdown: "NodeShutdown",
  Shutdown: "NodeShutdown",
  Terminated: "NodeShutdown",
};

/** A warning of the cluster about a pod. */
export interface PodWarning {
  readonly reason: string;
  readonly message: string;
}

/**
 * What the pod shows.
 *
 * @param warning The last warning about it: why it does not start is said there when its status does not say it.
 */
export function viewOf(pod: Pod, warning: PodWarning | undefined): PodView {
  const { status = {}, metadata = {} } = pod;
  const worker = status.containerStatuses?.find(({ name }) => name === WORKER);
  const ended = status.phase === "Succeeded" || status.phase === "Failed";
  const last =
    worker?.state?.terminated ?? (waitingReason(worker) ? worker?.lastState?.terminated : undefined);
  if (ended || last) return endedView(pod, last ?? endedInit(pod));
  if (metadata.deletionTimestamp !== undefined) {
    const [disruption, why] = disruptionOf(pod);
    const running = worker?.state?.running !== undefined;
    return view(running ? "running" : "pending", disruption || "Terminating", why || terminating(pod));
  }
  if (status.phase === "Unknown")
    return view("running", "NodeLost", status.message ?? "its node does not answer");
  if (worker?.state?.running) return view("running", "", "");
  const [reason, detail] = whyPending(pod, warning);
  return view("pending", reason, detail);
}

/** What is left of a pod that is gone: how it ended when that was seen, else that it was removed. */
export function goneView(pod: Pod, warning: PodWarning | undefined): PodView {
  const seen = viewOf(pod, warning);
  if (seen.phase === "ended") return seen;
  const [disruption, why] = disruptionOf(pod);
  return view(
    "ended",
    disruption || "Deleted",
    why || "its pod was deleted, and how its process ended was not seen",
  );
}

/** The finalizers that keep a pod which is to be gone; empty when there are none. */
export function keptBy({ metadata = {} }: Pod): string {
  const { finalizers = [] } = metadata;
  return finalizers.length === 0 ? "" : `it is kept by the finalizer ${finalizers.join(", ")}`;
}

function endedView(pod: Pod, terminated: Terminated | undefined): PodView {
  const { status = {} } = pod;
  const [disruption, why] = disruptionOf(pod);
  const { exitCode, signal = 0, reason = "", message = "" } = terminated ?? {};
  const outOfMemory = reason === "OOMKilled";
  const startError = START_ERRORS.has(reason);
  const loop = waitingReason(status.containerStatuses?.find(({ name }) => name === WORKER));
  const own = startError ? "StartError" : PLAIN_ENDS.has(reason) ? loop : reason;
  const podReason = status.reason ?? "";
  return {
    phase: "ended",
    reason:
      disruption || (podReason && podReason !== "Error" && !outOfMemory && !startError ? podReason : own),
    detail: oneLine(
      disruption
        ? why
        : startError
          ? message
          : (status.message ?? (outOfMemory ? "the container reached its limit of memory (OOMKilled)" : "")),
    ),
    // What the kubelet could not start has a made-up code.
    exitCode:
      exitCode === undefined || startError || killedBy(exitCode, signal) !== "" ? undefined : exitCode,
    signal: startError ? "" : killedBy(exitCode, signal),
    outOfMemory,
    message: startError ? "" : message,
  };
}

/** The end of an init container that ended badly: the worker never started. */
function endedInit({ status = {} }: Pod): Terminated | undefined {
  const failed = status.initContainerStatuses?.find(({ state }) => (state?.terminated?.exitCode ?? 0) !== 0);
  const terminated = failed?.state?.terminated;
  return (
    terminated && { ...terminated, message: `[init container ${failed?.name}] ${terminated.message ?? ""}` }
  );
}

/** Why it does not run yet. */
function whyPending({ status = {} }: Pod, warning: PodWarning | undefined): [string, string] {
  const containers = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  for (const container of containers) {
    const reason = waitingReason(container);
    if (reason === "" || STARTING.has(reason)) continue;
    const { message = "" } = container.state?.waiting ?? {};
    const whose = container.name === WORKER ? "" : `container ${container.name}: `;
    return [reason, oneLine(`${whose}${message || (warning?.message ?? "")}`)];
  }
  const unscheduled = conditionOf(status.conditions, "PodScheduled", "False");
  if (unscheduled) return [unscheduled.reason ?? "Unschedulable", oneLine(unscheduled.message ?? "")];
  if (warning) return [warning.reason, oneLine(warning.message)];
  const starting = containers.map(waitingReason).find((reason) => reason !== "") ?? "";
  return [starting, starting === "" ? "no node has it yet" : ""];
}

function waitingReason(container: ContainerStatus | undefined): string {
  return container?.state?.waiting?.reason ?? "";
}

/** One word for why the cluster takes it away, and its sentence; empty when it does not. */
function disruptionOf({ status = {} }: Pod): [string, string] {
  const target = conditionOf(status.conditions, "DisruptionTarget", "True");
  const byPod = POD_DISRUPTIONS[status.reason ?? ""];
  if (byPod) return [byPod, oneLine(status.message ?? target?.message ?? "")];
  if (!target) return ["", ""];
  return [
    DISRUPTIONS[target.reason ?? ""] ?? "Evicted",
    oneLine(`${target.reason ?? ""}: ${target.message ?? ""}`),
  ];
}

function terminating(pod: Pod): string {
  return `it is being deleted${keptBy(pod) ? `; ${keptBy(pod)}` : ""}`;
}

function conditionOf(
  conditions: readonly PodCondition[] = [],
  type: string,
  status: string,
): PodCondition | undefined {
  return conditions.find((condition) => condition.type === type && condition.status === status);
}

/** The signal of an end: containers report it as 128 and its number. */
function killedBy(exitCode: number | undefined, signal: number): string {
  const number = signal || (exitCode !== undefined && exitCode > 128 ? exitCode - 128 : 0);
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? "";
}

function view(phase: PodView["phase"], reason: string, detail: string): PodView {
  return { phase, reason, detail: oneLine(detail), signal: "", outOfMemory: false, message: "" };
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").trim().slice(0, 2_000);
}

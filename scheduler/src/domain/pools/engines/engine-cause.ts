/** What an engine's own word for the state of a launch means. */
import type { LaunchCause, LaunchObservation } from "../pool-launch.ts";

/** A cause with what to do about it. */
export interface EngineCause {
  readonly cause: LaunchCause;
  readonly remedy: string;
}

/** What engines call an image that they cannot use. */
const IMAGE_REASONS =
  /^(ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull|ImageInspectError|ImageNotFound)$/;

const IMAGE_NOT_FOUND: EngineCause = {
  cause: "IMAGE_NOT_FOUND",
  remedy: "correct the image of the pool or the credentials of its registry, then run `muster pool apply`",
};

/** Words of the launcher's own drivers. */
const CAUSES: Readonly<Record<string, EngineCause>> = {
  ImagePullDenied: {
    cause: "IMAGE_PULL_DENIED",
    remedy: "give the launcher credentials that may pull the image, for example with `docker login`",
  },
  RegistryUnreachable: {
    cause: "REGISTRY_UNREACHABLE",
    remedy: "open the way from the engine to the registry, or correct the registry in the image's name",
  },
  EngineRefused: {
    cause: "ENGINE_REFUSED",
    remedy: "correct what the engine names in `launch_template`, then run `muster pool apply`",
  },
  EngineUnreachable: {
    cause: "ENGINE_UNREACHABLE",
    remedy: "start the engine, or correct where the launcher looks for it (`DOCKER_HOST`)",
  },
};

const refused = (remedy: string): EngineCause => ({ cause: "ENGINE_REFUSED", remedy });
const UNSCHEDULABLE: EngineCause = {
  cause: "UNSCHEDULABLE",
  remedy: "add a machine that has what it names, or ask for less in the pool's template",
};

/** Words of the driver of pods and of Kubernetes. */
const POD_CAUSES: Readonly<Record<string, EngineCause>> = {
  Unschedulable: UNSCHEDULABLE,
  SchedulingGated: UNSCHEDULABLE,
  FailedScheduling: UNSCHEDULABLE,
  InvalidPod: refused(
    "correct the field that it names in `launch_template.kubernetes`, then run `muster pool apply`",
  ),
  PodSecurity: refused(
    "set what it names in `launch_template.kubernetes.pod_spec`, or use a namespace that allows it",
  ),
  AdmissionRefused: refused("correct what it names: the cluster does not admit the pod"),
  NamespaceNotFound: refused("make the namespace, or correct `launch_template.kubernetes.pod_namespace`"),
  NamespaceNotServed: refused(
    "start the launcher with this namespace in MUSTER_KUBERNETES_NAMESPACES, or correct the pool",
  ),
  NameTaken: refused("remove what has its name in the cluster"),
  QuotaExceeded: refused("raise the quota of the namespace, or lower `max_workers`"),
  Forbidden: refused("give the launcher's account the right that it names"),
  Unauthorized: refused("give the launcher valid credentials of the cluster"),
  ApiServerUnreachable: {
    cause: "ENGINE_UNREACHABLE",
    remedy: "look at the API server: the launcher tries again",
  },
  CreateContainerConfigError: {
    cause: "PENDING",
    remedy: "make the Secret or ConfigMap that it names, or correct the pool",
  },
  CreateContainerError: {
    cause: "PENDING",
    remedy: "correct what it names: the node cannot make the container",
  },
  FailedMount: { cause: "PENDING", remedy: "make what it names, or correct `volumes` of the pool" },
};

/** The engine took away what it had, for reasons of its own: no fault of the launch. */
const DISRUPTED = /^(Evicted|Preempted|NodeLost|NodeShutdown|Deleted)$/;

/** True when the engine took it away for reasons of its own. */
export function isDisruption(observation: LaunchObservation | undefined): boolean {
  return observation?.phase === "ended" && DISRUPTED.test(observation.reason);
}

/** Words that say more of an end than its exit code. */
export const ENDS: ReadonlySet<string> = new Set(["CrashLoopBackOff", "DeadlineExceeded"]);

/** The cause that the word names; undefined when it names none. */
export function engineCause({ reason }: LaunchObservation): EngineCause | undefined {
  if (IMAGE_REASONS.test(reason)) return IMAGE_NOT_FOUND;
  if (Object.hasOwn(POD_CAUSES, reason)) return POD_CAUSES[reason];
  return Object.hasOwn(CAUSES, reason) ? CAUSES[reason] : undefined;
}

/** What the driver reads of the objects of the cluster's API. Everything may be missing: they are another system's. */

/** Metadata of an object. */
export interface Metadata {
  readonly name?: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly creationTimestamp?: string;
  /** When it is to be gone. */
  readonly deletionTimestamp?: string;
  readonly finalizers?: readonly string[];
}

/** An object with metadata. */
export interface ClusterObject {
  readonly metadata?: Metadata;
}

/** The end of a container. */
export interface Terminated {
  readonly exitCode?: number;
  readonly signal?: number;
  readonly reason?: string;
  readonly message?: string;
}

/** State of a container. */
export interface ContainerState {
  readonly waiting?: { readonly reason?: string; readonly message?: string };
  readonly running?: { readonly startedAt?: string };
  readonly terminated?: Terminated;
}

/** Status of a container. */
export interface ContainerStatus {
  readonly name?: string;
  readonly state?: ContainerState;
  readonly lastState?: ContainerState;
}

/** A condition of a pod. */
export interface PodCondition {
  readonly type?: string;
  readonly status?: string;
  readonly reason?: string;
  readonly message?: string;
}

/** A pod. */
export interface Pod extends ClusterObject {
  readonly spec?: { readonly nodeName?: string };
  readonly status?: {
    readonly phase?: string;
    readonly reason?: string;
    readonly message?: string;
    readonly conditions?: readonly PodCondition[];
    readonly containerStatuses?: readonly ContainerStatus[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
  };
}

/** An event about an object. */
export interface ClusterEvent extends ClusterObject {
  readonly involvedObject?: { readonly kind?: string; readonly name?: string; readonly uid?: string };
  readonly type?: string;
  readonly reason?: string;
  readonly message?: string;
}

/** Name of the worker's container. */
export const WORKER = "worker";

/** Labels of pods and Secrets by which launches are found again. */
export const LABELS = {
  launch: "muster.dev/launch",
  pool: "muster.dev/pool",
  launcher: "muster.dev/launcher",
} as const;

/** For how long its start may take, seconds. */
export const STARTUP_ANNOTATION = "muster.dev/startup-timeout-s";

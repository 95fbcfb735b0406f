/** What the driver of pods makes of a pool's worker. */

/** A value of a pod's spec as an operator wrote it. */
export type PodValue =
  | string
  | number
  | boolean
  | null
  | readonly PodValue[]
  | { readonly [key: string]: PodValue };

/** A toleration; empty texts are as in the cluster's API. */
export interface Toleration {
  readonly key: string;
  readonly comparison: string;
  readonly value: string;
  readonly effect: string;
}

/** A variable whose value is in a Secret of the namespace. */
export interface SecretKeyVariable {
  readonly name: string;
  readonly secret: string;
  readonly key: string;
}

/** What a volume is. */
export type VolumeSource = "claim" | "configMap" | "secret" | "emptyDir" | "memory" | "hostPath";

/** A volume of the worker. */
export interface PodVolume {
  readonly name: string;
  readonly mountPath: string;
  readonly readOnly: boolean;
  readonly subPath: string;
  readonly source: VolumeSource;
  /** A name, a size or a path. */
  readonly of: string;
}

/** Settings of the driver of pods. */
export interface KubernetesSettings {
  readonly driver: "kubernetes";
  readonly podNamespace: string;
  readonly image: string;
  readonly imagePullPolicy: string;
  readonly imagePullSecrets: readonly string[];
  readonly requests: Readonly<Record<string, string>>;
  readonly limits: Readonly<Record<string, string>>;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly tolerations: readonly Toleration[];
  readonly serviceAccount: string;
  readonly runtimeClass: string;
  readonly priorityClass: string;
  readonly workingDir: string;
  readonly secretEnv: readonly SecretKeyVariable[];
  readonly volumes: readonly PodVolume[];
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Merged into the pod's spec. */
  readonly podSpec: { readonly [key: string]: PodValue };
}

/** Settings of the driver of Docker containers. Empty texts and zeros mean what the image or the engine has. */

/** When the image is pulled. */
export type DockerPullPolicy = "missing" | "always" | "never";

/** GPUs for a container: all, so many, or these. */
export interface DockerGpus {
  readonly all: boolean;
  /** 0 when it is not given. */
  readonly count: number;
  readonly deviceIds: readonly string[];
  readonly driver: string;
}

/** How a worker's container is made. A limit of 0 in `ulimits` is none. */
export interface DockerSettings {
  readonly driver: "docker";
  readonly image: string;
  readonly pullPolicy: DockerPullPolicy;
  readonly entrypoint: readonly string[];
  readonly workingDir: string;
  readonly user: string;
  readonly groups: readonly string[];
  readonly memoryMib: number;
  readonly cpus: number;
  readonly pidsLimit: number;
  /** Absent for none. */
  readonly gpus?: DockerGpus;
  readonly devices: readonly string[];
  /** `SOURCE:TARGET` or `SOURCE:TARGET:ro`. */
  readonly volumes: readonly string[];
  readonly tmpfsMib: Readonly<Record<string, number>>;
  readonly shmMib: number;
  readonly network: string;
  readonly extraHosts: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly ipc: string;
  readonly runtime: string;
  readonly ulimits: Readonly<Record<string, number>>;
  readonly runInit: boolean;
}

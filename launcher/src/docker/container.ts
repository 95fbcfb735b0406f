/** The container of a launch: its name, its labels, and how it is made from an order. */
import type { DockerTemplate } from "@muster/protocol";
import type { ContainerCreateOptions, HostConfig, MountSettings } from "dockerode";
import type { LaunchOrder } from "../driver.ts";
import type { Environment } from "../environment.ts";

/** Labels of every container of a launcher. */
export const LABELS = {
  launch: "dev.muster.launch",
  pool: "dev.muster.pool",
  launcher: "dev.muster.launcher",
  /** Names of the variables that hold secrets, with commas between them. */
  secrets: "dev.muster.secrets",
  startupTimeout: "dev.muster.startup-timeout-ms",
} as const;

/** Output that the engine keeps of a container: this much in each of two files. */
const LOG_BYTES = "20m";

const MIB = 1024 * 1024;

/** Where the certificates of the launcher are in a container. */
const TLS_FILES = {
  MUSTER_TLS_CA: "/run/muster/tls/ca.pem",
  MUSTER_TLS_CERT: "/run/muster/tls/cert.pem",
  MUSTER_TLS_KEY: "/run/muster/tls/key.pem",
} as const;

/** The engine gives a name to one container only: a launch is created once, whoever asks and how often. */
export function containerName(launchId: string): string {
  return `muster-${launchId}`;
}

/**
 * How the container of a launch is made.
 *
 * @param launcherEnv Certificates that the worker has from the launcher are mounted, because their paths are those of its
 * machine.
 */
export function containerOptions(
  order: LaunchOrder,
  settings: DockerTemplate,
  launcherId: string,
  launcherEnv: Environment,
): ContainerCreateOptions {
  const { launchId, pool, command, secretNames, startupTimeoutMs } = order;
  const { env, mounts } = withCertificates(order.env, launcherEnv);
  const limited = (value: bigint) => (value > 0n ? Number(value) : undefined);
  return {
    name: containerName(launchId),
    Image: settings.image,
    Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
    Labels: {
      ...settings.labels,
      [LABELS.launch]: launchId,
      [LABELS.pool]: pool,
      [LABELS.launcher]: launcherId,
      [LABELS.secrets]: secretNames.join(","),
      [LABELS.startupTimeout]: String(startupTimeoutMs),
    },
    ...(command.length > 0 ? { Cmd: [...command] } : {}),
    ...(settings.entrypoint.length > 0 ? { Entrypoint: settings.entrypoint } : {}),
    ...(settings.workingDir ? { WorkingDir: settings.workingDir } : {}),
    ...(settings.user ? { User: settings.user } : {}),
    HostConfig: defined<HostConfig>({
      RestartPolicy: { Name: "no" },
      LogConfig: { Type: "json-file", Config: { "max-size": LOG_BYTES, "max-file": "2" } },
      Init: settings.runInit || undefined,
      Memory: limited(settings.memoryMib * BigInt(MIB)),
      NanoCpus: settings.cpus > 0 ? Math.round(settings.cpus * 1e9) : undefined,
      PidsLimit: limited(settings.pidsLimit),
      ShmSize: limited(settings.shmMib * BigInt(MIB)),
      IpcMode: settings.ipc || undefined,
      Runtime: settings.runtime || undefined,
      NetworkMode: settings.network || undefined,
      ExtraHosts: some(settings.extraHosts),
      GroupAdd: some(settings.groups),
      Ulimits: some(
        Object.entries(settings.ulimits).map(([name, limit]) => ({
          ...{ Name: name, Soft: limit === 0n ? -1 : Number(limit), Hard: limit === 0n ? -1 : Number(limit) },
        })),
      ),
      Tmpfs: Object.fromEntries(
        Object.entries(settings.tmpfsMib).map(([path, mib]) => [path, mib > 0n ? `size=${mib}m` : ""]),
      ),
      Mounts: [...settings.volumes.map(toMount), ...mounts],
      Devices: some(settings.devices.map(toDevice)),
      DeviceRequests: settings.gpus && [
        {
          Driver: settings.gpus.driver,
          Count: settings.gpus.all ? -1 : settings.gpus.count,
          ...(settings.gpus.deviceIds.length > 0 ? { DeviceIDs: settings.gpus.deviceIds } : {}),
          Capabilities: [["gpu"]],
        },
      ],
    }),
  };
}

/** A missing source is an error of the engine: `Binds` would make an empty folder instead. */
function toMount(volume: string): MountSettings {
  const [Source = "", Target = "", mode] = volume.split(":");
  return { Type: Source.startsWith("/") ? "bind" : "volume", Source, Target, ReadOnly: mode === "ro" };
}

function toDevice(device: string): NonNullable<HostConfig["Devices"]>[number] {
  const [host = "", ...rest] = device.split(":");
  const inside = rest.find((part) => part.startsWith("/"));
  const rights = rest.find((part) => !part.startsWith("/"));
  return { PathOnHost: host, PathInContainer: inside ?? host, CgroupPermissions: rights ?? "rwm" };
}

function withCertificates(
  env: Readonly<Record<string, string>>,
  launcherEnv: Environment,
): { env: Readonly<Record<string, string>>; mounts: MountSettings[] } {
  const mounted = Object.entries(TLS_FILES).filter(
    ([name]) => env[name] !== undefined && env[name] !== "" && env[name] === launcherEnv[name],
  );
  return {
    env: { ...env, ...Object.fromEntries(mounted) },
    mounts: mounted.map(([name, target]) => ({
      ...{ Type: "bind" as const, Source: env[name] ?? "", Target: target, ReadOnly: true },
    })),
  };
}

function some<T>(entries: readonly T[]): T[] | undefined {
  return entries.length > 0 ? [...entries] : undefined;
}

/** Without the fields that are not set. */
function defined<T extends object>(fields: { [Key in keyof T]?: T[Key] | undefined }): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

/** Settings of the driver `docker`. */
import { quoted } from "@muster/common/text/text";
import { type DockerGpus, DockerPullPolicy, type DockerTemplate } from "@muster/protocol";
import type * as domain from "../../../../domain/pools/engines/docker-settings.ts";
import { isStorable } from "../../values/text.ts";
import type { DriverConverter, Report } from "./driver.ts";

const MAX_IMAGE = 512;
const MAX_ARGUMENTS = 100;
const MAX_TEXT = 65_536;
const MAX_PATH = 4_096;
const MAX_WORD = 128;
const MAX_MIB = 16_777_216;
/** The engine refuses less. */
const MIN_MEMORY_MIB = 6;
const MIN_CPUS = 0.01;
const MAX_CPUS = 1_024;
const MAX_PIDS = 4_194_304;
const MAX_GPUS = 1_024;
const MAX_DEVICE_IDS = 64;
const MAX_DEVICES = 64;
const MAX_VOLUMES = 100;
const MAX_TMPFS = 32;
const MAX_HOSTS = 64;
const MAX_LABELS = 64;
const MAX_GROUPS = 32;
const MAX_ULIMITS = 32;

/** Labels that the launcher sets. */
const OWN_LABELS = "dev.muster.";

/** The engine's form of a reference, less strict: a registry with a port, a path, a tag, a digest. */
const IMAGE =
  /^[a-zA-Z0-9][a-zA-Z0-9.-]*(:\d{1,5})?(\/[a-z0-9._-]+)*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$/;
const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/;
const DEVICE = /^\/[^:\0]+(:\/[^:\0]+)?(:[rwm]{1,3})?$/;
const HOST = /^[A-Za-z0-9_.-]{1,253}:(host-gateway|[0-9A-Fa-f.:]{2,45})$/;
const IPC = /^(host|private|shareable|none|container:[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127})$/;
const ULIMIT = /^[a-z]{1,32}$/;

const POLICIES: Readonly<Partial<Record<DockerPullPolicy, domain.DockerPullPolicy>>> = {
  [DockerPullPolicy.UNSPECIFIED]: "missing",
  [DockerPullPolicy.MISSING]: "missing",
  [DockerPullPolicy.ALWAYS]: "always",
  [DockerPullPolicy.NO_PULL]: "never",
};

const FROM_POLICY: Readonly<Record<domain.DockerPullPolicy, DockerPullPolicy>> = {
  missing: DockerPullPolicy.MISSING,
  always: DockerPullPolicy.ALWAYS,
  never: DockerPullPolicy.NO_PULL,
};

/** Both directions. */
export const dockerConverter: DriverConverter<"docker"> = {
  to(value, { command }, reportBelowSpec) {
    const report: Report = (field, description) =>
      reportBelowSpec(`launch_template.docker.${field}`, description);
    if (command[0] === "") reportBelowSpec("launch_template.command", "begins with an empty word");
    // Numbers first: what is wrong with one of them is said before what it is used with.
    const { cpus } = value;
    if (cpus !== 0 && !(cpus >= MIN_CPUS && cpus <= MAX_CPUS))
      report("cpus", `${cpus} is not between ${MIN_CPUS} and ${MAX_CPUS}, or 0 for no limit`);
    const amounts = {
      cpus,
      memoryMib: whole(value.memoryMib, MIN_MEMORY_MIB, MAX_MIB, "memory_mib", report),
      pidsLimit: whole(value.pidsLimit, 1, MAX_PIDS, "pids_limit", report),
      shmMib: whole(value.shmMib, 1, MAX_MIB, "shm_mib", report),
      tmpfsMib: amountsOf(value.tmpfsMib, MAX_TMPFS, MAX_MIB, "tmpfs_mib", report),
      ulimits: amountsOf(value.ulimits, MAX_ULIMITS, Number.MAX_SAFE_INTEGER, "ulimits", report),
      ...(value.gpus ? { gpus: toGpus(value.gpus, report) } : {}),
    };
    checkImage(value.image, report);
    const pullPolicy = POLICIES[value.pullPolicy];
    if (pullPolicy === undefined)
      report("pull_policy", `${value.pullPolicy} is not known: set MISSING, ALWAYS or NO_PULL`);
    checkArguments(value.entrypoint, report);
    if (value.workingDir !== "") checkPath(value.workingDir, "working_dir", report);
    checkWord(value.user, "user", report);
    checkList(value.groups, MAX_GROUPS, "groups", report, (group) =>
      isWord(group) && group !== "" ? undefined : `has not 1 to ${MAX_WORD} characters without spaces`,
    );
    checkDevices(value, report);
    checkVolumes(value, report);
    checkList(value.extraHosts, MAX_HOSTS, "extra_hosts", report, (host) =>
      HOST.test(host) ? undefined : "is not NAME:ADDRESS with an IP address or host-gateway",
    );
    checkWord(value.network, "network", report);
    checkWord(value.runtime, "runtime", report);
    if (value.ipc !== "" && !IPC.test(value.ipc))
      report("ipc", `${quoted(value.ipc, 100)} is not host, private, shareable, none or container:NAME`);
    checkLabels(value.labels, report);
    for (const name of Object.keys(value.ulimits).slice(0, MAX_ULIMITS))
      if (!ULIMIT.test(name))
        report("ulimits", `${quoted(name, 100)} is no name of a limit, for example memlock`);
    return {
      driver: "docker",
      ...amounts,
      image: value.image,
      pullPolicy: pullPolicy ?? "missing",
      entrypoint: value.entrypoint,
      workingDir: value.workingDir,
      user: value.user,
      groups: value.groups,
      devices: value.devices,
      volumes: value.volumes,
      network: value.network,
      extraHosts: value.extraHosts,
      labels: value.labels,
      ipc: value.ipc,
      runtime: value.runtime,
      runInit: value.runInit,
    };
  },

  from({ driver: _, gpus, ...settings }) {
    return {
      case: "docker",
      value: {
        ...settings,
        pullPolicy: FROM_POLICY[settings.pullPolicy],
        entrypoint: [...settings.entrypoint],
        groups: [...settings.groups],
        devices: [...settings.devices],
        volumes: [...settings.volumes],
        extraHosts: [...settings.extraHosts],
        memoryMib: BigInt(settings.memoryMib),
        pidsLimit: BigInt(settings.pidsLimit),
        shmMib: BigInt(settings.shmMib),
        tmpfsMib: toBigInts(settings.tmpfsMib),
        ulimits: toBigInts(settings.ulimits),
        labels: { ...settings.labels },
        ...(gpus ? { gpus: { ...gpus, deviceIds: [...gpus.deviceIds] } } : {}),
      },
    };
  },
};

function checkImage(image: string, report: Report): void {
  if (image === "") report("image", "is required");
  else if (image.length > MAX_IMAGE || !IMAGE.test(image))
    report(
      "image",
      `${quoted(image, 100)} is no reference of an image, for example registry.example.com/team/worker:7`,
    );
}

function checkArguments(entrypoint: readonly string[], report: Report): void {
  const characters = entrypoint.reduce((sum, word) => sum + word.length, 0);
  if (entrypoint.length > MAX_ARGUMENTS || characters > MAX_TEXT)
    report(
      "entrypoint",
      `has ${entrypoint.length} words of together ${characters} characters; at most ${MAX_ARGUMENTS} of ${MAX_TEXT} are allowed`,
    );
  if (entrypoint[0] === "") report("entrypoint", "begins with an empty word");
  if (!entrypoint.every(isStorable)) report("entrypoint", "holds a NUL or half of a character");
}

function toGpus({ all, count, deviceIds, driver }: DockerGpus, report: Report): domain.DockerGpus {
  if (count < 0 || count > MAX_GPUS) report("gpus.count", `${count} is not between 1 and ${MAX_GPUS}`);
  const ways = [all, count !== 0, deviceIds.length > 0].filter(Boolean).length;
  if (ways !== 1) report("gpus", `has ${ways} of \`all\`, \`count\` and \`device_ids\`: set one of them`);
  checkList(deviceIds, MAX_DEVICE_IDS, "gpus.device_ids", report, (id) =>
    id !== "" && isWord(id) ? undefined : "is no index or UUID of a GPU",
  );
  checkWord(driver, "gpus.driver", report);
  return { all, count, deviceIds, driver };
}

function checkDevices({ devices }: DockerTemplate, report: Report): void {
  checkList(devices, MAX_DEVICES, "devices", report, (device) =>
    device.length <= MAX_PATH && DEVICE.test(device)
      ? undefined
      : "is no device, for example /dev/kfd or /dev/sda:/dev/xvda:r",
  );
}

function checkVolumes({ volumes, tmpfsMib }: DockerTemplate, report: Report): void {
  const targets = new Set<string>();
  const claim = (target: string): string | undefined => {
    if (targets.has(target)) return `mounts ${quoted(target, 100)} a second time`;
    targets.add(target);
    return undefined;
  };
  checkList(volumes, MAX_VOLUMES, "volumes", report, (volume) => {
    const [source = "", target = "", mode, ...rest] = volume.split(":");
    const named = source.startsWith("/") ? isPath(source) : VOLUME_NAME.test(source);
    if (
      !named ||
      !isPath(target) ||
      rest.length > 0 ||
      (mode !== undefined && mode !== "ro" && mode !== "rw")
    )
      return "is not SOURCE:TARGET or SOURCE:TARGET:ro with an absolute path or the name of a volume, and an absolute path";
    return claim(target);
  });
  for (const path of Object.keys(tmpfsMib).slice(0, MAX_TMPFS)) {
    const fault = isPath(path) ? claim(path) : "is no absolute path";
    if (fault) report("tmpfs_mib", `${quoted(path, 100)} ${fault}`);
  }
}

function checkLabels(labels: Readonly<Record<string, string>>, report: Report): void {
  const entries = Object.entries(labels);
  const characters = entries.flat().reduce((sum, text) => sum + text.length, 0);
  if (entries.length > MAX_LABELS || characters > MAX_TEXT)
    report(
      "labels",
      `has ${entries.length} labels of together ${characters} characters; at most ${MAX_LABELS} of ${MAX_TEXT} are allowed`,
    );
  for (const [name, value] of entries) {
    if (name.startsWith(OWN_LABELS)) report("labels", `${quoted(name, 100)} is set by the launcher`);
    else if (name === "" || !isStorable(name + value))
      report("labels", `${quoted(name, 100)} is empty or holds a NUL or half of a character`);
  }
}

function amountsOf(
  given: Readonly<Record<string, bigint>>,
  most: number,
  max: number,
  field: string,
  report: Report,
): Record<string, number> {
  const entries = Object.entries(given);
  if (entries.length > most) report(field, `has ${entries.length} entries; at most ${most} are allowed`);
  for (const [name, amount] of entries.slice(0, most))
    if (amount < 0n || amount > BigInt(max))
      report(
        `${field}[${JSON.stringify(name.slice(0, 100))}]`,
        `${amount} is not between 1 and ${max}, or 0 for no limit`,
      );
  return Object.fromEntries(entries.map(([name, amount]) => [name, Number(amount)]));
}

/** A whole number of the range; 0 means what the engine has. */
function whole(given: bigint, min: number, max: number, field: string, report: Report): number {
  if (given !== 0n && (given < BigInt(min) || given > BigInt(max)))
    report(field, `${given} is not between ${min} and ${max}, or 0`);
  return Number(given);
}

function checkList(
  given: readonly string[],
  most: number,
  field: string,
  report: Report,
  faultOf: (text: string) => string | undefined,
): void {
  if (given.length > most) report(field, `has ${given.length} entries; at most ${most} are allowed`);
  for (const [index, text] of given.slice(0, most).entries()) {
    const fault = faultOf(text);
    if (fault) report(`${field}[${index}]`, `${quoted(text, 100)} ${fault}`);
  }
}

function checkWord(text: string, field: string, report: Report): void {
  if (!isWord(text))
    report(field, `${quoted(text, 100)} has more than ${MAX_WORD} characters or holds a space or a NUL`);
}

function isWord(text: string): boolean {
  return text.length <= MAX_WORD && isStorable(text) && !/\s/.test(text);
}

function checkPath(path: string, field: string, report: Report): void {
  if (!isPath(path))
    report(field, `${quoted(path, 100)} is no absolute path of at most ${MAX_PATH} characters`);
}

function isPath(path: string): boolean {
  return path.startsWith("/") && path.length <= MAX_PATH && isStorable(path);
}

function toBigInts(given: Readonly<Record<string, number>>): Record<string, bigint> {
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, BigInt(value)]));
}

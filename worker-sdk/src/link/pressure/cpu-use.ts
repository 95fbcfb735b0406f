/** Reads the share of the processors in use: of the cgroup's limit, or of the machine. */
import { cpus } from "node:os";
import { cgroupFolders, field, KERNEL, type Roots, readNumber, readText } from "./cgroup.ts";

/** Processor time that was used since some moment, and the time that was there to use; milliseconds. */
interface Times {
  readonly usedMs: number;
  readonly availableMs: number;
}

/** Reads the mean use over a window. Of several limits the one that is nearest to being reached counts. */
export class CpuReader {
  readonly #version: 1 | 2;
  readonly #folders: readonly string[];
  readonly #windowMs: number;
  readonly #sys: string;
  /** Counters by source, the oldest first. */
  readonly #samples = new Map<string, { readonly atMs: number; readonly times: Times }[]>();

  constructor(windowMs: number, roots: Roots = KERNEL) {
    const { version, folders } = cgroupFolders(roots, "cpu");
    this.#version = version;
    this.#folders = folders;
    this.#windowMs = windowMs;
    this.#sys = roots.sys;
  }

  /** The share in use; undefined before a second read. */
  read(nowMs: number): number | undefined {
    const shares = [this.#mean("machine", machineTimes(), nowMs)];
    for (const folder of this.#folders) {
      const times = this.#group(folder, nowMs);
      if (times) shares.push(this.#mean(folder, times, nowMs));
    }
    const known = shares.filter((share) => share !== undefined);
    return known.length === 0 ? undefined : Math.max(...known);
  }

  #mean(source: string, times: Times, nowMs: number): number | undefined {
    const samples = this.#samples.get(source) ?? [];
    this.#samples.set(source, samples);
    samples.push({ atMs: nowMs, times });
    while (samples.length > 2 && nowMs - (samples[1]?.atMs ?? nowMs) >= this.#windowMs) samples.shift();
    const [first] = samples;
    if (!first || samples.length < 2) return undefined;
    const availableMs = times.availableMs - first.times.availableMs;
    return availableMs > 0 ? Math.max(0, times.usedMs - first.times.usedMs) / availableMs : undefined;
  }

  #group(folder: string, nowMs: number): Times | undefined {
    if (this.#version === 2) {
      const [quota, period] = (readText(`${folder}/cpu.max`) ?? "").trim().split(" ").map(Number);
      const usedUs = field(readText(`${folder}/cpu.stat`), "usage_usec");
      if (!quota || !period || usedUs === undefined) return undefined;
      return { usedMs: usedUs / 1_000, availableMs: (nowMs * quota) / period };
    }
    // Without a limit the quota of version 1 is -1.
    const quota = readNumber(`${folder}/cpu.cfs_quota_us`);
    const period = readNumber(`${folder}/cpu.cfs_period_us`);
    // The accounting is a controller of its own, mounted together with this one or beside it.
    const beside = folder.replace(`${this.#sys}/cpu`, `${this.#sys}/cpuacct`);
    const usedNs = readNumber(`${folder}/cpuacct.usage`) ?? readNumber(`${beside}/cpuacct.usage`);
    if (!quota || !period || usedNs === undefined) return undefined;
    return { usedMs: usedNs / 1e6, availableMs: (nowMs * quota) / period };
  }
}

function machineTimes(): Times {
  let [usedMs, availableMs] = [0, 0];
  for (const { times } of cpus()) {
    const busy = times.user + times.nice + times.sys + times.irq;
    usedMs += busy;
    availableMs += busy + times.idle;
  }
  return { usedMs, availableMs };
}

/** Reads the share of the memory in use: of the cgroup's limit, or of the machine. */
import { freemem, totalmem } from "node:os";
import { cgroupFolders, field, KERNEL, type Roots, readNumber, readText } from "./cgroup.ts";

/** Memory in use and what it is a share of, bytes. */
export interface MemoryUse {
  readonly usedBytes: number;
  readonly limitBytes: number;
}

/**
 * Reads the memory in use. Of several limits the one that is nearest to being reached counts. File caches that the kernel
 * can drop do not count, as with the working set that Kubernetes shows.
 */
export class MemoryReader {
  readonly #folders: readonly string[];
  readonly #version: 1 | 2;

  constructor(roots: Roots = KERNEL) {
    const { version, folders } = cgroupFolders(roots, "memory");
    this.#version = version;
    this.#folders = folders;
  }

  read(): MemoryUse {
    const machine = { usedBytes: totalmem() - freemem(), limitBytes: totalmem() };
    return this.#folders
      .flatMap((folder) => this.#group(folder, machine.limitBytes) ?? [])
      .reduce((most, use) => (share(use) > share(most) ? use : most), machine);
  }

  #group(folder: string, machineBytes: number): MemoryUse | undefined {
    const two = this.#version === 2;
    const limitBytes = readNumber(`${folder}/${two ? "memory.max" : "memory.limit_in_bytes"}`);
    // Without a limit version 1 has a number near 2^63.
    if (limitBytes === undefined || limitBytes === 0 || limitBytes >= machineBytes) return undefined;
    const bytes = readNumber(`${folder}/${two ? "memory.current" : "memory.usage_in_bytes"}`);
    if (bytes === undefined) return undefined;
    const stat = readText(`${folder}/memory.stat`);
    const cached = field(stat, two ? "inactive_file" : "total_inactive_file") ?? 0;
    return { usedBytes: Math.max(0, bytes - cached), limitBytes };
  }
}

/** The share in use. */
export function share({ usedBytes, limitBytes }: MemoryUse): number {
  return usedBytes / limitBytes;
}

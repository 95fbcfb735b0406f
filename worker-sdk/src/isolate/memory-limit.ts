/** The memory limit of an isolated handler's process. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { MemoryWatch } from "@muster/common/process/memory-watch";
import type { Clock } from "../clock.ts";
import { MemoryGroup } from "../command/memory-group.ts";
import { KERNEL, type Roots } from "../link/pressure/cgroup.ts";

/** Interval at which a process without a cgroup of its own is measured: one file, some 20 µs. */
const MEASURE_EVERY_MS = 250;

/** Limits a process by a cgroup where one can be made, else by measuring it. */
export class MemoryLimit {
  readonly #limitBytes: number | undefined;
  readonly #group: MemoryGroup | undefined;
  #watch: MemoryWatch | undefined;
  #cancel: (() => void) | undefined;
  #exceeded: string | undefined;

  constructor(limitBytes: number | undefined, roots: Roots = KERNEL) {
    this.#limitBytes = limitBytes;
    if (limitBytes === undefined) return;
    const group = MemoryGroup.make(`isolate-${randomUUID()}`, limitBytes, roots);
    if (typeof group !== "string") this.#group = group;
  }

  /** The command line within the limit. */
  within(argv: readonly string[]): readonly string[] {
    return this.#group?.within(argv) ?? argv;
  }

  /** The process has started. @param kill Ends it. */
  follow(pid: number, clock: Clock, kill: () => void): void {
    this.#watch = new MemoryWatch(pid);
    this.#watch.look();
    const limitBytes = this.#limitBytes;
    if (limitBytes === undefined || this.#group !== undefined) return;
    this.#cancel = clock.every(MEASURE_EVERY_MS, () => {
      const bytes = residentBytes(pid);
      if (bytes === undefined || bytes <= limitBytes || this.#exceeded !== undefined) return;
      this.#exceeded = `it took ${mib(bytes)} of its limit of ${mib(limitBytes)}`;
      kill();
    });
  }

  /** Why it was killed for its memory; undefined without evidence. */
  evidence(killed: boolean): string | undefined {
    // The worker's own cgroup may count the death of another process: it is evidence only for one that was killed.
    return this.#exceeded ?? this.#group?.evidence() ?? (killed ? this.#watch?.evidence() : undefined);
  }

  /** The process has ended, and all that it has started. */
  end(): void {
    this.#cancel?.();
    this.#group?.remove();
  }
}

/** Undefined where the system does not say. */
function residentBytes(pid: number): number | undefined {
  try {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kib === undefined ? undefined : Number(kib) * 1024;
  } catch (error) {
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`;
}

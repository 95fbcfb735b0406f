/** Counts the file descriptors of the process. */
import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import type { Clock } from "./clock.ts";
import type { Logger } from "./telemetry/logs/logger.ts";

/** How often the descriptors in use are counted: reading the folder takes a microsecond for each. */
const COUNT_EVERY_MS = 1_000;

/** A limit below this is worth a warning at the start; every worker takes one descriptor. */
const LOW_LIMIT = 1_024;

/** Shares of the limit at which it is warned, and at which that is over. */
const WARN_SHARE = 0.8;
const FINE_SHARE = 0.7;

/** Kept for probes, database connections, files and for telling refused workers why. */
const LEAST_RESERVE = 48;
const MOST_RESERVE = 128;

/** The last descriptors: a connection that would take one of them is cut at once. */
const LAST = 12;

/** How many file descriptors this process has, and how many it may have. */
export interface DescriptorUse {
  readonly used: number;
  /** Undefined where the system does not report it. */
  readonly limit: number | undefined;
}

/**
 * Counts the process's file descriptors against their limit. At the limit the system accepts no connection any
 * more, a probe's neither, so connections are refused before that, with the reason.
 */
export class Descriptors {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #limit: number | undefined;
  #counted: number;
  /** Connections that were opened, less those that were closed, since the last count. */
  #since = 0;
  #low = false;
  #stopped = false;
  #cancel: () => void = () => undefined;

  constructor(parts: { log: Logger; clock: Clock }) {
    this.#log = parts.log;
    this.#clock = parts.clock;
    this.#limit = readLimit();
    this.#counted = 0;
  }

  /** Counts, warns of a limit that is low, and goes on counting. */
  async start(): Promise<void> {
    if (this.#limit === undefined) return;
    await this.#count();
    if (this.#limit < LOW_LIMIT) {
      this.#log.warn("descriptors.limited", {
        limit: this.#limit,
        used: this.#counted,
        room: Math.max(0, this.#limit - this.#reserve - this.#counted),
        remedy:
          "every worker takes a descriptor: raise the limit (ulimit -n, LimitNOFILE=, docker run --ulimit nofile=)",
      });
    }
    this.#next();
  }

  get use(): DescriptorUse {
    return { used: this.#counted + this.#since, limit: this.#limit };
  }

  /** Connections that can still be opened; infinite where no limit is known. */
  get room(): number {
    return this.#limit === undefined ? Number.POSITIVE_INFINITY : this.#limit - this.#reserve - this.use.used;
  }

  /** No more connections are admitted: those that do nothing are in the way. */
  get pressed(): boolean {
    return this.room <= 0;
  }

  /** Too few are left even to answer with an error. */
  get exhausted(): boolean {
    return this.#limit !== undefined && this.use.used >= this.#limit - LAST;
  }

  /** A connection was opened; call the answer when it is closed. */
  opened(): () => void {
    this.#since++;
    return () => {
      this.#since--;
    };
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  get #reserve(): number {
    return Math.min(MOST_RESERVE, Math.max(LEAST_RESERVE, Math.round((this.#limit ?? 0) / 10)));
  }

  #next(): void {
    if (this.#stopped) return;
    this.#cancel = this.#clock.after(COUNT_EVERY_MS, () => void this.#count().finally(() => this.#next()));
  }

  async #count(): Promise<void> {
    const limit = this.#limit;
    if (limit === undefined) return;
    let used: number;
    try {
      // Less the one that reads the folder.
      used = (await readdir("/proc/self/fd")).length - 1;
    } catch {
      // No descriptor is left to read the folder with.
      used = limit;
    }
    this.#counted = used;
    this.#since = 0;
    if (!this.#low && used >= limit * WARN_SHARE) {
      this.#low = true;
      this.#log.warn("descriptors.low", {
        used,
        limit,
        room: Math.max(0, limit - this.#reserve - used),
        remedy:
          "workers are refused when none are left: raise the limit (ulimit -n, LimitNOFILE=), or start another scheduler",
      });
    } else if (this.#low && used < limit * FINE_SHARE) {
      this.#low = false;
      this.#log.info("descriptors.recovered", { used, limit });
    }
  }
}

/** The soft limit, which Node has raised to the hard one by now; undefined where there is no `/proc` or no limit. */
function readLimit(): number | undefined {
  try {
    const text = readFileSync("/proc/self/limits", "utf8");
    const soft = Number(/^Max open files\s+(\d+)/m.exec(text)?.[1]);
    return Number.isFinite(soft) ? soft : undefined;
  } catch {
    return undefined;
  }
}

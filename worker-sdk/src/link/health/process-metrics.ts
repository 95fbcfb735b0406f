/** Measurements of the process: loop, CPU, memory. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { BlockedBy, type HeartbeatSchema } from "@muster/protocol";
import type { Clock } from "../../clock.ts";
import { durationFromMs } from "../../duration.ts";
import type { SharedState } from "../shared.ts";
import { ownUse, type ProcessUse } from "./process-use.ts";

/** A main loop that turned less than this ago does not count as blocked; it records turns every 100 ms. */
const LOOP_SLACK_MS = 150;

/** Measures memory and CPU of the process, and the loop of the main thread, for heartbeats. */
export class ProcessMetrics {
  readonly #clock: Clock;
  readonly #shared: SharedState;
  readonly #use: ProcessUse;
  #cpuS: number;
  #cpuAtMs: number;
  #rssBytes: number;

  /** @param use What is measured: this process, or that of a worker. */
  constructor(clock: Clock, shared: SharedState, use: ProcessUse = ownUse) {
    this.#clock = clock;
    this.#shared = shared;
    this.#use = use;
    const { cpuS, rssBytes } = use();
    this.#cpuS = cpuS;
    this.#rssBytes = rssBytes;
    this.#cpuAtMs = clock.monotonicMs();
  }

  /** Resident memory at the last measurement, in bytes. */
  get rssBytes(): number {
    return this.#rssBytes;
  }

  /** Processor time that it has used, in seconds. */
  get cpuS(): number {
    return this.#cpuS;
  }

  /** How long the main loop has been blocked, in milliseconds; 0 when it is not. */
  get loopAgeMs(): number {
    const ageMs = this.#clock.monotonicMs() - this.#shared.lastTickMs;
    return ageMs < LOOP_SLACK_MS ? 0 : ageMs;
  }

  /** Measures now. */
  measure(): MessageInitShape<typeof HeartbeatSchema> {
    const nowMs = this.#clock.monotonicMs();
    const { cpuS, rssBytes } = this.#use();
    const usedS = Math.max(0, cpuS - this.#cpuS);
    const elapsedMs = Math.max(1, nowMs - this.#cpuAtMs);
    this.#cpuS = cpuS;
    this.#cpuAtMs = nowMs;
    this.#rssBytes = rssBytes;
    const blocked = this.#shared.blockedPart;
    return {
      eventLoopAge: durationFromMs(this.loopAgeMs),
      eventLoopDelayP99: durationFromMs(this.#shared.takeDelayP99Ms()),
      cpuUsage: (usedS * 1000) / elapsedMs,
      rssBytes: BigInt(this.#rssBytes),
      heapUsedBytes: BigInt(this.#shared.heapUsedBytes),
      ...(blocked === undefined
        ? {}
        : { blockedBy: blocked === "loop" ? BlockedBy.EVENT_LOOP : BlockedBy.INTERPRETER }),
    };
  }
}

/** Measurements of the process: loop, CPU, memory. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HeartbeatSchema } from "@muster/protocol";
import type { Clock } from "../../clock.ts";
import { durationFromMs } from "../../duration.ts";
import type { SharedState } from "../shared.ts";

/** A main loop that turned less than this ago does not count as blocked; it records turns every 100 ms. */
const LOOP_SLACK_MS = 150;

/** Measures memory and CPU of the process, and the loop of the main thread, for heartbeats. */
export class ProcessMetrics {
  readonly #clock: Clock;
  readonly #shared: SharedState;
  #cpu = process.cpuUsage();
  #cpuAtMs: number;
  #rssBytes = process.memoryUsage.rss();

  constructor(clock: Clock, shared: SharedState) {
    this.#clock = clock;
    this.#shared = shared;
    this.#cpuAtMs = clock.monotonicMs();
  }

  /** Resident memory at the last measurement, in bytes. */
  get rssBytes(): number {
    return this.#rssBytes;
  }

  /** How long the main loop has been blocked, in milliseconds; 0 when it is not. */
  get loopAgeMs(): number {
    const ageMs = this.#clock.monotonicMs() - this.#shared.lastTickMs;
    return ageMs < LOOP_SLACK_MS ? 0 : ageMs;
  }

  /** Measures now. */
  measure(): MessageInitShape<typeof HeartbeatSchema> {
    const nowMs = this.#clock.monotonicMs();
    const used = process.cpuUsage(this.#cpu);
    const elapsedMs = Math.max(1, nowMs - this.#cpuAtMs);
    this.#cpu = process.cpuUsage();
    this.#cpuAtMs = nowMs;
    this.#rssBytes = process.memoryUsage.rss();
    return {
      eventLoopAge: durationFromMs(this.loopAgeMs),
      eventLoopDelayP99: durationFromMs(this.#shared.takeDelayP99Ms()),
      cpuUsage: (used.user + used.system) / 1000 / elapsedMs,
      rssBytes: BigInt(this.#rssBytes),
      heapUsedBytes: BigInt(this.#shared.heapUsedBytes),
    };
  }
}

/** Pauses a worker by the watermarks of its option `backpressure`, on the connection's thread. */
import type { Clock } from "../../clock.ts";
import type { PressureLimits } from "../../options/backpressure.ts";
import { CpuReader } from "./cpu-use.ts";
import { Gate } from "./gate.ts";
import { MemoryReader, type MemoryUse, share } from "./memory-use.ts";

/** Interval of the measurements, milliseconds. */
const SAMPLE_MS = 500;

/** The use of the processors is the mean of this time, milliseconds. */
const CPU_WINDOW_MS = 5_000;

/** What can pause a worker. */
export type Measure = "cpu" | "memory" | "loop_delay" | "probe";

/** A measure that pauses the worker. `loop_delay` is in milliseconds; a probe has no numbers. */
export interface Pressure {
  readonly measure: Measure;
  readonly detail: string;
  readonly value: number;
  readonly high: number;
  readonly low: number;
  readonly ageMs: number;
}

/** What the watch reads; tests give their own. */
export interface PressureSources {
  cpu(nowMs: number): number | undefined;
  memory(): MemoryUse;
  loopDelayMs(): number;
}

export interface PressureWatchParts {
  readonly limits: PressureLimits;
  readonly clock: Clock;
  readonly sources: PressureSources;
  /** A measure began to pause the worker, or stopped. */
  readonly changed: (measure: Measure, began: boolean) => void;
}

/** Reads the machine and the process. @param loopDelayMs The delay of the main loop. */
export function pressureSources(loopDelayMs: () => number): PressureSources {
  const cpu = new CpuReader(CPU_WINDOW_MS);
  const memory = new MemoryReader();
  return { cpu: (nowMs) => cpu.read(nowMs), memory: () => memory.read(), loopDelayMs };
}

export class PressureWatch {
  readonly #parts: PressureWatchParts;
  readonly #cpu: Gate | undefined;
  readonly #memory: Gate | undefined;
  readonly #loopDelay: Gate | undefined;
  #memoryBytes = 0;
  #probe: { readonly reason: string; readonly sinceMs: number } | undefined;

  constructor(parts: PressureWatchParts) {
    this.#parts = parts;
    const { cpu, memory, loopDelayMs } = parts.limits;
    this.#cpu = cpu && new Gate(cpu);
    this.#memory = memory && new Gate(memory);
    this.#loopDelay = loopDelayMs && new Gate(loopDelayMs);
    if (cpu || memory || loopDelayMs) parts.clock.every(SAMPLE_MS, () => this.#sample());
  }

  /** Takes what the program's probe returned. */
  probed(reason: string | undefined): void {
    const before = this.#probe;
    this.#probe =
      reason === undefined
        ? undefined
        : { reason, sinceMs: before?.sinceMs ?? this.#parts.clock.monotonicMs() };
    if ((before === undefined) !== (reason === undefined)) this.#parts.changed("probe", reason !== undefined);
  }

  /** The measures that pause the worker now. */
  get pressures(): Pressure[] {
    const nowMs = this.#parts.clock.monotonicMs();
    const percent = (value: number) => `${Math.round(value * 100)} %`;
    const gib = `${(this.#memoryBytes / 2 ** 30).toFixed(1)} GiB`;
    const probe = this.#probe;
    return [
      ...pressure("cpu", this.#cpu, nowMs, percent, (value) => `cpu: ${value} of the processors in use`),
      ...pressure("memory", this.#memory, nowMs, percent, (value) => `memory: ${value} of ${gib} in use`),
      ...pressure(
        "loop_delay",
        this.#loopDelay,
        nowMs,
        (value) => `${Math.round(value)} ms`,
        (value) => `event loop: delayed by ${value}`,
      ),
      ...(probe
        ? [
            {
              measure: "probe",
              detail: probe.reason,
              value: 0,
              high: 0,
              low: 0,
              ageMs: nowMs - probe.sinceMs,
            } as const,
          ]
        : []),
    ];
  }

  #sample(): void {
    const { clock, sources } = this.#parts;
    const nowMs = clock.monotonicMs();
    if (this.#cpu) this.#take("cpu", this.#cpu, sources.cpu(nowMs), nowMs);
    if (this.#memory) {
      const use = sources.memory();
      this.#memoryBytes = use.limitBytes;
      this.#take("memory", this.#memory, share(use), nowMs);
    }
    if (this.#loopDelay) this.#take("loop_delay", this.#loopDelay, sources.loopDelayMs(), nowMs);
  }

  #take(measure: Measure, gate: Gate, value: number | undefined, nowMs: number): void {
    if (gate.take(value, nowMs)) this.#parts.changed(measure, gate.closedAtMs !== undefined);
  }
}

function pressure(
  measure: Measure,
  gate: Gate | undefined,
  nowMs: number,
  shown: (value: number) => string,
  words: (value: string) => string,
): Pressure[] {
  if (gate?.closedAtMs === undefined) return [];
  const { value, high, low, closedAtMs } = gate;
  const detail = `${words(shown(value))} (pauses at ${shown(high)}, goes on at ${shown(low)})`;
  return [{ measure, detail, value, high, low, ageMs: nowMs - closedAtMs }];
}

/** What the connection's thread reports of the worker's pauses: in heartbeats, probes, metrics and the log. */
import { create } from "@bufbuild/protobuf";
import { type Pressure, PressureSchema } from "@muster/protocol";
import type { Clock } from "../../clock.ts";
import { durationFromMs } from "../../duration.ts";
import type { PressureLimits } from "../../options/backpressure.ts";
import type { Counters } from "../health/counters.ts";
import type { FromLink, PauseCause } from "../messages.ts";
import { type Measure, PressureWatch, pressureSources } from "./pressure-watch.ts";

export interface PauseReportsParts {
  readonly limits: PressureLimits | undefined;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly loopDelayMs: () => number;
  /** The next heartbeat should not wait. */
  readonly changed: () => void;
  readonly emit: (message: FromLink) => void;
}

export class PauseReports {
  readonly #parts: PauseReportsParts;
  readonly #reasons = new Map<PauseCause, string>();
  /** Undefined unless the worker has the option: then nothing is measured. */
  readonly #watch: PressureWatch | undefined;

  constructor(parts: PauseReportsParts) {
    this.#parts = parts;
    const { limits, clock } = parts;
    this.#watch =
      limits &&
      new PressureWatch({
        ...{ limits, clock },
        sources: pressureSources(parts.loopDelayMs),
        changed: (measure, began) => this.#pressed(measure, began),
      });
  }

  /** The program or an operator paused the worker; without a reason that has ended. */
  note(by: PauseCause, reason: string | undefined): void {
    if (reason === undefined) this.#reasons.delete(by);
    else {
      this.#parts.counters.pauses.add(by === "operator" ? by : reason);
      this.#reasons.set(by, reason);
    }
    this.#parts.changed();
  }

  /** Takes what the program's probe returned. */
  probed(reason: string | undefined): void {
    this.#watch?.probed(reason);
  }

  /** Every reason; undefined when the worker takes tasks. */
  get inWords(): string | undefined {
    return this.#joined([...this.#reasons.values(), ...this.#details()]);
  }

  /** The fields of a heartbeat: the scheduler has the operator's pause itself. */
  inHeartbeat(): { paused: boolean; pauseReason: string; pressures: Pressure[] } {
    const own = this.#reasons.get("program");
    if (own === undefined && !this.#watch) return { paused: false, pauseReason: "", pressures: [] };
    const pressures = this.#watch?.pressures ?? [];
    const reasons = [...(own === undefined ? [] : [own]), ...pressures.map(({ detail }) => detail)];
    return {
      paused: reasons.length > 0,
      pauseReason: reasons.join("; "),
      pressures: pressures.map(({ ageMs, ...rest }) =>
        create(PressureSchema, { ...rest, age: durationFromMs(ageMs) }),
      ),
    };
  }

  #pressed(measure: Measure, began: boolean): void {
    const { counters, changed, emit } = this.#parts;
    if (began) counters.pauses.add(measure);
    const details = this.#details();
    const pressure = this.#watch?.pressures.find((each) => each.measure === measure);
    const reason = this.#joined(details);
    emit({ kind: "pressure", reason });
    if (began && pressure) {
      const { detail, value, high, low } = pressure;
      const fields = { by: "pressure", reason: detail, measure, value, high, low };
      emit({ kind: "log", level: "info", event: "worker.paused", fields, message: "worker paused" });
    } else {
      const fields = { by: "pressure", measure, ...(reason === undefined ? {} : { still_paused: details }) };
      emit({ kind: "log", level: "info", event: "worker.resumed", fields, message: "worker resumed" });
    }
    changed();
  }

  #details(): string[] {
    return (this.#watch?.pressures ?? []).map(({ detail }) => detail);
  }

  #joined(reasons: readonly string[]): string | undefined {
    return reasons.length === 0 ? undefined : reasons.join("; ");
  }
}

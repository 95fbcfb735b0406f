/** The one place where a mechanism asks whether it may act; in mode `observe` records what it would have done. */
import { type AttemptKey, formatAttemptId, formatTaskId } from "../../domain/ids.ts";
import {
  ACT,
  type MechanismName,
  type Mode,
  type Modes,
  type Observation,
  type OutcomeModes,
  type QueueMechanism,
  type QueueModes,
} from "../../domain/mechanisms/mechanism.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import type { EventWriter } from "../attempts/writers/event-writer.ts";
import type { QueueSettingsCache } from "../queue-settings.ts";

/** What a would-be action concerns; the parts that are known. */
export interface Concerned {
  readonly attempt?: AttemptKey;
  readonly workerId?: string;
  readonly sessionId?: number;
  /** Further facts, as texts. */
  readonly facts?: Readonly<Record<string, string>>;
}

export interface MechanismsParts {
  readonly modes: Modes;
  readonly queueSettings: Pick<QueueSettingsCache, "of">;
  readonly eventWriter: Pick<EventWriter, "appendEvent">;
  readonly counters: Pick<Counters, "observed">;
  readonly log: Pick<Logger, "warn">;
}

export class Mechanisms {
  readonly #parts: MechanismsParts;

  constructor(parts: MechanismsParts) {
    this.#parts = parts;
  }

  /** The modes of this scheduler. */
  get modes(): Modes {
    return this.#parts.modes;
  }

  /** The mode of a mechanism that has none per queue. */
  mode(name: MechanismName): Mode {
    return this.#parts.modes[name];
  }

  /** The mode for tasks of a queue: its own, else that of this scheduler. @param queue Undefined when it is not known. */
  modeFor(name: QueueMechanism, queue: string | undefined): Mode {
    return this.queueModes(queue)?.[name] ?? this.#parts.modes[name];
  }

  /** The modes that a queue has of its own; undefined when it has no settings. */
  queueModes(queue: string | undefined): QueueModes | undefined {
    return queue === undefined ? undefined : this.#parts.queueSettings.of(queue);
  }

  /** The modes on which the end of an attempt depends. Allocates nothing for a queue without modes of its own. */
  outcomeModes(queue: string | undefined): OutcomeModes {
    const { modes } = this.#parts;
    const own = this.queueModes(queue);
    if (own?.attempt_limits === undefined && own?.poison === undefined) return modes;
    return {
      attempt_limits: own.attempt_limits ?? modes.attempt_limits,
      poison: own.poison ?? modes.poison,
    };
  }

  /** Records what a mechanism would have done. Its caller calls it once for each action. */
  observed(
    { mechanism, would, reason }: Observation,
    { attempt, workerId, sessionId, facts }: Concerned,
  ): void {
    const { counters, eventWriter, log } = this.#parts;
    counters.observed[mechanism]++;
    log.warn("mechanism.observed", {
      mechanism,
      would,
      reason,
      ...(attempt ? { task_id: formatTaskId(attempt.taskId), attempt_id: formatAttemptId(attempt) } : {}),
      ...(workerId === undefined ? {} : { worker_id: workerId }),
      ...facts,
    });
    eventWriter.appendEvent({
      name: "mechanism.observed",
      ...(attempt ? { taskId: attempt.taskId, epoch: attempt.epoch } : {}),
      ...(sessionId === undefined ? {} : { sessionId }),
      ...(workerId === undefined ? {} : { workerId }),
      attributes: { mechanism, would, reason, ...facts },
    });
  }
}

/** Of tests and of parts that are made without settings: everything acts. */
export const ALL_ACT: Pick<Mechanisms, "mode" | "modeFor" | "observed" | "outcomeModes"> = {
  mode: () => "act",
  modeFor: () => "act",
  outcomeModes: () => ACT,
  observed: () => undefined,
};

/** Keeps what the tasks of each class ask of the build of their worker, as of the last poll. */
import { type BuildRule, type BuildSides, sameSides, sidesOf } from "../../domain/builds/build-rule.ts";
import type { TaskClass } from "../../domain/matching/match.ts";
import type { SessionStore } from "../../store/store.ts";
import type { ClassIndex } from "../matching/class-index.ts";
import type { QueueSettingsCache } from "../queue-settings.ts";

export interface QueueBuildsParts {
  readonly store: Pick<SessionStore, "runningBuilds">;
  readonly settings: Pick<QueueSettingsCache, "buildRules">;
  readonly classes: Pick<ClassIndex, "all" | "setBuilds">;
}

/** Builds of the ready workers of all schedulers, by queue and type. */
type RunningBuilds = ReadonlyMap<string, ReadonlySet<string>>;

const NONE: ReadonlySet<string> = new Set();

/**
 * Applies the build rules of queues to their classes. While no queue has one, it does nothing. The builds that run are read only for
 * queues with a ramp: all schedulers read the same, so that a task is on one side at all of them.
 */
export class QueueBuilds {
  readonly #parts: QueueBuildsParts;
  #running: RunningBuilds = new Map();
  #applied = false;

  constructor(parts: QueueBuildsParts) {
    this.#parts = parts;
  }

  /** @throws DatabaseUnavailableError */
  async refresh(): Promise<void> {
    const { store, settings, classes } = this.#parts;
    const rules = settings.buildRules;
    if (rules.size === 0 && !this.#applied) return;
    const ramped = [...rules].flatMap(([queue, { ramp }]) => (ramp ? [queue] : []));
    const found = ramped.length === 0 ? [] : await store.runningBuilds(ramped);
    const running = new Map<string, Set<string>>();
    for (const { queue, type, build } of found) {
      const key = `${queue}\n${type}`;
      const builds = running.get(key);
      if (builds) builds.add(build);
      else running.set(key, new Set([build]));
    }
    this.#running = running;
    this.#applied = rules.size > 0;
    for (const entry of classes.all()) {
      const sides = this.sidesFor(entry.taskClass);
      if (!sameSides(sides, entry.taskClass.builds)) classes.setBuilds(entry, sides);
    }
  }

  /** What the tasks of a class ask; undefined when its queue has no rule. */
  sidesFor({ queue, type }: Pick<TaskClass, "queue" | "type">): BuildSides | undefined {
    const rule: BuildRule | undefined = this.#parts.settings.buildRules.get(queue);
    return rule && sidesOf(rule, this.#running.get(`${queue}\n${type}`) ?? NONE);
  }
}

/** Warns of submitted tasks that cost more than any known worker has. */
import type { Clock } from "../../clock.ts";
import { isAbsence } from "../../domain/errors.ts";
import { misfit } from "../../domain/explain/capacity/never-fits.ts";
import type { TaskClass } from "../../domain/matching/match.ts";
import type { NewTask } from "../../domain/tasks/task.ts";
import type { FleetStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { ClassIndex } from "../matching/class-index.ts";

/** An answer about a class is used again for this long, milliseconds: a producer may submit thousands of its tasks. */
const FRESH_MS = 1_000;

/** Answers that are kept. */
const MAX_KEPT = 1_000;

/** Classes of one submit for which the database is asked; it is not asked about those that a connected worker can run. */
const MAX_ASKED = 20;

/** A fact that the producer of a task should know. */
export interface SubmitWarning {
  readonly code: string;
  readonly message: string;
}

export interface FitWarningsParts {
  readonly store: Pick<FleetStore, "knownSizes">;
  readonly classes: Pick<ClassIndex, "get" | "resolveAll">;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Pick<Logger, "debug">;
}

export class FitWarnings {
  readonly #parts: FitWarningsParts;
  readonly #kept = new Map<number, { readonly at: number; readonly warning: SubmitWarning | undefined }>();

  constructor(parts: FitWarningsParts) {
    this.#parts = parts;
  }

  /** Whether a task costs more than one slot. */
  concerns(tasks: readonly NewTask[]): boolean {
    return tasks.some(({ requirements }) => requirements.cost !== undefined);
  }

  /** The warning of each task, in order; undefined while the database is away: the tasks have been accepted. */
  async of(tasks: readonly NewTask[]): Promise<readonly (SubmitWarning | undefined)[] | undefined> {
    try {
      return await this.#look(tasks);
    } catch (error) {
      if (!isAbsence(error)) throw error;
      this.#parts.log.debug("submit.fit_unknown", { error });
      return undefined;
    }
  }

  async #look(tasks: readonly NewTask[]): Promise<(SubmitWarning | undefined)[]> {
    const classes = await this.#parts.classes.resolveAll(tasks);
    const found = new Map<number, SubmitWarning | undefined>();
    let asked = 0;
    for (const taskClass of classes) {
      if (taskClass.requirements.cost === undefined || found.has(taskClass.id)) continue;
      const known = this.#known(taskClass);
      if (known === undefined && asked++ >= MAX_ASKED) continue;
      found.set(taskClass.id, known ? known.warning : await this.#ask(taskClass));
    }
    return classes.map(({ id }) => found.get(id));
  }

  /** Undefined when the database has to be asked. */
  #known({ id }: TaskClass): { readonly warning: SubmitWarning | undefined } | undefined {
    if ((this.#parts.classes.get(id)?.eligible.length ?? 0) > 0) return { warning: undefined };
    const kept = this.#kept.get(id);
    return kept && this.#parts.clock.monotonic() - kept.at < FRESH_MS ? kept : undefined;
  }

  async #ask(taskClass: TaskClass): Promise<SubmitWarning | undefined> {
    const { store, clock } = this.#parts;
    const at = clock.monotonic();
    const found = misfit(taskClass, await store.knownSizes(taskClass));
    const warning = found && {
      code: "NEVER_FITS",
      message: `${found.summary}; ${found.change}, or submit the task with a lower cost`,
    };
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    this.#kept.set(taskClass.id, { at, warning });
    return warning;
  }
}

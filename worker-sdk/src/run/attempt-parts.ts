/** The parts of a worker that run attempts: everything but the connection and the process. */
import type { AttemptHost } from "../attempt/attempt-host.ts";
import { Deadlines } from "../attempt/deadlines.ts";
import type { ElsewhereHandler } from "../attempt/elsewhere.ts";
import { warnAfterS } from "../attempt/phases/warn-after.ts";
import { KeyPauses } from "../attempt/reports/key-pauses.ts";
import { Runner } from "../attempt/runner.ts";
import { type Clock, systemClock } from "../clock.ts";
import { IsolatedHandlers } from "../isolate/isolated-handlers.ts";
import { WorkerLifespan } from "../lifespan/worker-lifespan.ts";
import type { Logger } from "../logging/logger.ts";
import type { CompiledOptions } from "../options/compiled-options.ts";
import { PayloadCoder } from "../payloads/payload-coder.ts";
import type { ResourceLoaders } from "../resources/resource-loaders.ts";
import { ResourceLoading } from "../resources/resource-loading.ts";
import type { Resources } from "../resources/resources.ts";
import { ScratchFolders } from "../scratch/scratch-folders.ts";
import { TaskLogs } from "../task-log/task-logs.ts";

/** What the parts need of the rest of the worker. */
export interface AttemptPartsNeeds {
  readonly options: CompiledOptions;
  readonly log: Logger;
  /** Clock of the attempts; the life of the worker itself follows the process's clock. */
  readonly clock: Clock;
  /** Where what attempts report goes. */
  readonly link: AttemptHost["link"];
  readonly resources: Resources;
  readonly loaders: ResourceLoaders;
  /** Submits for handlers; undefined for a run without a scheduler. */
  readonly children?: AttemptHost["children"];
  /** False runs isolated handlers in this process. @default true */
  readonly isolate?: boolean;
  /** Runs the attempts in another program. @default they run here */
  readonly elsewhere?: ElsewhereHandler | undefined;
}

/** What a scheduler sets for its workers. */
export interface SchedulerSettings {
  /** Thresholds of phases that neither the task nor the worker sets. */
  readonly phaseWarningsMs: Readonly<Record<string, number>>;
  /** Largest output in bytes. */
  readonly maxResultBytes: number;
}

/** Runs attempts, with what their contexts offer. A started worker has one, and a run without a scheduler. */
export class AttemptParts {
  readonly deadlines: Deadlines;
  /** Undefined when no handler is isolated. */
  readonly isolated: IsolatedHandlers | undefined;
  readonly keyPauses: KeyPauses;
  readonly lifespan: WorkerLifespan;
  readonly loading: ResourceLoading;
  readonly runner: Runner;
  readonly scratch: ScratchFolders;
  /** What the scheduler set when the worker registered. */
  settings: SchedulerSettings = { phaseWarningsMs: {}, maxResultBytes: Number.POSITIVE_INFINITY };

  constructor(needs: AttemptPartsNeeds) {
    const { options, log, clock, link, resources, loaders, children, isolate = true } = needs;
    const tasks = [...options.tasks.values()];
    const inProcess = !isolate || tasks.some((task) => task.isolate === undefined);
    // Each process of isolated handlers has its own.
    const lifespan = new WorkerLifespan(inProcess ? options.lifespan : undefined, log, systemClock);
    this.lifespan = lifespan;
    this.deadlines = new Deadlines(clock);
    this.keyPauses = new KeyPauses(clock, link);
    this.loading = new ResourceLoading({ resources, loaders, link, log, clock });
    this.scratch = new ScratchFolders(options.scratch, log, clock);
    const host: AttemptHost = {
      scratch: this.scratch,
      artifacts: options.artifacts,
      get services() {
        return lifespan.services;
      },
      clock,
      deadlines: this.deadlines,
      link,
      log,
      keyPauses: this.keyPauses,
      children,
      slots: {
        begin: (attempt, wait) => this.runner.slots.begin(attempt, wait),
        end: (attempt, wait) => this.runner.slots.end(attempt, wait),
      },
      taskLogs: options.taskLogs && new TaskLogs(options.taskLogs, clock, link),
      warnAfterS: (phase, assignment, declared) =>
        warnAfterS(phase, {
          ...{ assignment, declared, options },
          schedulerMs: this.settings.phaseWarningsMs[phase],
        }),
    };
    if (isolate && tasks.some((task) => task.isolate !== undefined))
      this.isolated = new IsolatedHandlers({
        ...{ host, log, classify: options.classify, stacks: options.stacks, tasks: options.tasks },
        settings: () => this.settings,
      });
    const payloads = options.payloads && new PayloadCoder(options.payloads);
    this.runner = new Runner(
      host,
      options,
      () => ({
        payloads,
        classify: options.classify,
        maxResultBytes: this.settings.maxResultBytes,
      }),
      ({ definition }) => needs.elsewhere ?? (definition.isolate && this.isolated),
    );
  }

  /** Ends the processes of isolated handlers, and tears down what the lifespan has set up once no handler runs. */
  async tearDown(limitMs: number, reason: Error): Promise<void> {
    await Promise.all([
      this.isolated?.close(limitMs),
      this.lifespan.close(limitMs, reason, {
        done: () => this.runner.returned(),
        count: () => this.runner.unreturnedCount,
      }),
    ]);
  }
}

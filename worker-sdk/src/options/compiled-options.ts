/** The options of a worker, checked, each with its effective value. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Batches } from "../batching/batches.ts";
import type { IsolateSettings } from "../isolate/isolate-options.ts";
import type { Lifespan, TaskLifespan } from "../lifespan/lifespan.ts";
import type { Logger, LogLevel } from "../logging/logger.ts";
import type { PayloadOptions, PayloadSettings } from "../payloads/payload-options.ts";
import type { StartupReporter } from "../run/startup.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import type { CompiledBackpressure } from "./backpressure.ts";
import type { Connection, ConnectionOptions } from "./connection-options.ts";
import type { ScratchSettings } from "./scratch-options.ts";
import type { TaskLogSettings } from "./task-log-options.ts";
import type { CompiledAdaptive } from "./task-types/adaptive-concurrency.ts";
import type { FailureClassification } from "./task-types/failure-classification.ts";
import type { AnyPhaseDeclarations } from "./task-types/phase-declarations.ts";
import type { AnyHandler } from "./task-types/task-definition.ts";
import type { FatalInfo } from "./worker-options.ts";

/** A task type ready to run. */
export interface CompiledTask {
  readonly type: string;
  readonly input: StandardSchemaV1 | undefined;
  readonly output: StandardSchemaV1 | undefined;
  /** 0 means as many as the worker has slots. Of one that adapts: its upper bound. */
  readonly concurrency: number;
  /** Set when the concurrency adapts. */
  readonly adaptive?: CompiledAdaptive | undefined;
  /** True for a definition with a type: its result is sent as the handler returned it, and its schema checks that form. */
  readonly contract: boolean;
  readonly handler: AnyHandler;
  /** Declared phases. */
  readonly phases?: AnyPhaseDeclarations | undefined;
  /** Of a type whose handler runs batches; `handler` is then `batches.join`, and what surrounds it. */
  readonly batches?: Batches;
  /** Set when its handler runs in a process of its own. */
  readonly isolate?: IsolateSettings | undefined;
}

/** Where probes and metrics are served, checked. */
export interface HttpSettings {
  readonly host: string;
  readonly port: number;
  readonly blockedLimitMs: number;
}

/** Every option with its effective value. */
export interface CompiledOptions {
  readonly connection: Connection;
  /** The options of the connection as they were given, for a client of the worker's own. */
  readonly clientOptions: ConnectionOptions & { readonly payloads?: PayloadOptions };
  readonly tasks: Map<string, CompiledTask>;
  readonly id: string;
  readonly pool: string;
  /** Empty for none. */
  readonly buildId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly queues: readonly string[];
  readonly concurrency: number;
  /** The slots were set by the option or the variable. */
  readonly concurrencyGiven: boolean;
  readonly prefetch: number;
  readonly capacities: Readonly<Record<string, number>>;
  /** 0 for the default, which depends on the memory. */
  readonly assignmentBytes: number;
  readonly resources: readonly string[];
  readonly scratch: ScratchSettings;
  /** Undefined: what handlers log is not kept. */
  readonly taskLogs: TaskLogSettings | undefined;
  readonly artifacts: ObjectStore | undefined;
  readonly payloads: PayloadSettings | undefined;
  readonly lifespan: Lifespan<unknown> | undefined;
  readonly taskLifespan: TaskLifespan<unknown, unknown> | undefined;
  readonly preflight: ((startup: StartupReporter) => unknown) | undefined;
  readonly registerTimeoutS: number;
  readonly drainTimeoutS: number;
  /** Thresholds that the author or the environment set; they win over the scheduler's. */
  readonly warnS: ReadonlyMap<string, number>;
  readonly classify: ((error: unknown) => FailureClassification | undefined) | undefined;
  readonly logger: Logger | undefined;
  readonly logLevel: LogLevel;
  readonly onFatal: ((fatal: FatalInfo) => void) | undefined;
  readonly http: HttpSettings | undefined;
  readonly backpressure: CompiledBackpressure | undefined;
  readonly stacks: boolean;
  /** Id that a launcher gave this process (`MUSTER_LAUNCH_ID`), or empty. */
  readonly launchId: string;
}

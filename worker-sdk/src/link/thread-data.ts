/** What the link's thread is started with. */
import type { LimitReport } from "../adaptive/adaptive-limit.ts";
import type { PressureLimits } from "../options/backpressure.ts";
import type { TlsMaterial } from "../options/connection-options.ts";
import type { EffectiveSetting } from "../options/effective-setting.ts";
import type { StartupPhaseMessage } from "./messages.ts";

/** What the link's thread is started with. */
export interface LinkData {
  readonly shared: SharedArrayBuffer;
  readonly addresses: readonly string[];
  readonly token: string | undefined;
  readonly tls: TlsMaterial | undefined;
  readonly workerId: string;
  readonly sessionId: string;
  readonly pool: string;
  /** Empty for none. */
  readonly buildId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly types: readonly {
    readonly type: string;
    readonly concurrency: number;
    /** Set when the worker adapts it. */
    readonly limit?: LimitReport;
  }[];
  readonly queues: readonly string[];
  readonly slots: number;
  readonly prefetch: number;
  readonly capacities: Readonly<Record<string, number>>;
  readonly assignmentBytes: number;
  readonly resources: readonly string[];
  readonly features: readonly string[];
  /** Set when the worker pauses by its own measures. */
  readonly pressure: PressureLimits | undefined;
  /** Whether stacks are read. */
  readonly stacks: boolean;
  /** Handlers have processes of their own. */
  readonly isolates: boolean;
  /** What is masked in logs beside secrets. */
  readonly redactPatterns: readonly RegExp[];
  /** Resources that it can load on request; an empty list with the feature `prepare_resource` means every resource. */
  readonly loadable: readonly string[];
  readonly launchId: string;
  /** The worker, where it is another process. */
  readonly elsewhere?: {
    readonly pid: number;
    readonly sdk: string;
    readonly sdkVersion: string;
    readonly language: string;
    readonly runtime: string;
  };
  readonly host: {
    readonly hostname: string;
    readonly cpuCount: number;
    readonly memoryBytes: number;
    readonly uid: number | undefined;
    readonly gid: number | undefined;
    readonly cwd: string;
  };
  /** For Hello. */
  readonly settings: readonly EffectiveSetting[];
  /** Phases before the thread was started. */
  readonly startupPhases: readonly StartupPhaseMessage[];
  /** Milliseconds until the register timeout. */
  readonly registerInMs: number;
  /** The register timeout as it was set, for the log. */
  readonly registerTimeoutS: number;
  /** The process's age when the thread was started. */
  readonly processAgeMs: number;
  /** Where probes and metrics are served; unset when they are not. */
  readonly http:
    | { readonly host: string; readonly port: number; readonly blockedLimitMs: number }
    | undefined;
  /** True in `run()`: the link may kill a process whose main thread is blocked. */
  readonly program: boolean;
  /**
   * Level of main's log when it is JSON lines on standard output: the link then writes lines itself while the main
   * thread is blocked. Undefined when the log is elsewhere.
   */
  readonly stdoutLogLevel: "debug" | "info" | "warn" | undefined;
  /** The process ends, and only reports why: it may know no task type yet, which only a hello that drains may have. */
  readonly ending?: boolean;
}

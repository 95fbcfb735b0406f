/** The folder of a launch: what the driver and the supervisor of one worker know of each other, also after a crash. */
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { processStart } from "@muster/common/process/process-start";

/** A process by its pid and its start. */
export interface ProcessIdentity {
  /** 0: none was started, and none will be. */
  readonly pid: number;
  readonly started: string;
}

/** How the worker of a launch ended, as its supervisor saw it. */
export interface RecordedExit {
  readonly exitCode: number | undefined;
  readonly signal: string;
  readonly outOfMemory: boolean;
  /** Evidence of that, or why it could not be started. */
  readonly detail: string;
  /** `StartError`, or empty. */
  readonly reason: string;
  readonly logTail: string;
}

/** The files of a launch. */
export class LaunchFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** The output of the worker. */
  get output(): string {
    return join(this.path, "output.log");
  }

  /** Lines of the supervisor. */
  get supervisorLog(): string {
    return join(this.path, "supervisor.log");
  }

  make(): void {
    mkdirSync(this.path, { recursive: true, mode: 0o700 });
  }

  /**
   * Claims the launch for one supervisor. The kernel makes the file once: of two processes, whenever they run, one starts the
   * worker.
   *
   * @returns False when it was claimed before.
   */
  claim(supervisor: ProcessIdentity): boolean {
    try {
      writeFileSync(join(this.path, "supervisor.json"), JSON.stringify(supervisor), {
        flag: "wx",
        mode: 0o600,
      });
      return true;
    } catch (error) {
      if (codeOf(error) === "EEXIST") return false;
      throw error;
    }
  }

  /** The supervisor that claimed it; undefined for none. */
  get supervisor(): ProcessIdentity | undefined {
    return this.#read<ProcessIdentity>("supervisor.json");
  }

  /** The worker's process. */
  get worker(): ProcessIdentity | undefined {
    return this.#read<ProcessIdentity>("worker.json");
  }

  set worker(identity: ProcessIdentity | undefined) {
    this.#write("worker.json", identity);
  }

  /** How it ended. */
  get exit(): RecordedExit | undefined {
    return this.#read<RecordedExit>("exit.json");
  }

  set exit(exit: RecordedExit | undefined) {
    this.#write("exit.json", exit);
  }

  /** Size of the output and when it last grew, milliseconds since the epoch; undefined without output. */
  get outputFacts(): { bytes: number; changedMs: number } | undefined {
    const facts = statSync(this.output, { throwIfNoEntry: false });
    return facts && facts.size > 0 ? { bytes: facts.size, changedMs: facts.mtimeMs } : undefined;
  }

  /** A file that another process may be writing for the first time is read as missing. */
  #read<T>(name: string): T | undefined {
    try {
      return JSON.parse(readFileSync(join(this.path, name), "utf8")) as T;
    } catch (error) {
      if (codeOf(error) === "ENOENT" || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  #write(name: string, value: unknown): void {
    const path = join(this.path, name);
    writeFileSync(`${path}.new`, JSON.stringify(value), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }
}

/** True while this very process runs. */
export function lives(identity: ProcessIdentity | undefined): boolean {
  return identity !== undefined && identity.pid > 0 && processStart(identity.pid) === identity.started;
}

/** This process, or a child of it. */
export function identify(pid: number): ProcessIdentity {
  return { pid, started: processStart(pid) ?? "" };
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

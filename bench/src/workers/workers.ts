import { Child } from "../lab/child.ts";
import type { Cleanup } from "../lab/cleanup.ts";
import { PROBE, Probed } from "../measured/probed.ts";
import type { Usage } from "../measured/usage.ts";
import type { HandledTasks, OpenWorkersInput, ResetInput } from "./workers-program.ts";

/** A process with real SDK workers. */
export class WorkerProcess {
  readonly #probed: Probed;

  private constructor(probed: Probed) {
    this.#probed = probed;
  }

  /** Starts the process without a worker: what it uses then is the control. */
  static start(cleanup: Cleanup, name = "worker", env: Readonly<Record<string, string>> = {}): WorkerProcess {
    const child = new Child(cleanup, {
      name,
      program: "workers/workers-program.ts",
      env,
      execArgv: [...PROBE],
    });
    return new WorkerProcess(new Probed(child));
  }

  /** Opens workers; all are ready when this returns. */
  async open(input: OpenWorkersInput): Promise<void> {
    await this.#probed.command("open", { ...input });
  }

  async reset(input: ResetInput = {}): Promise<void> {
    await this.#probed.command("reset", { ...input });
  }

  handled(): Promise<HandledTasks> {
    return this.#probed.command<HandledTasks>("handled");
  }

  usage(collect: boolean): Promise<Usage> {
    return this.#probed.usage(collect);
  }

  /** Ends the process as SIGTERM does. */
  stop(): Promise<void> {
    return this.#probed.child.stop();
  }
}

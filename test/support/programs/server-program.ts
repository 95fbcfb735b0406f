/** Servers that tests start beside the product: proxies, poolers, collectors, stores. */
import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { env } from "node:process";
import { cleanedUp, cleanUpLater } from "../clean-up.ts";
import { until } from "../waits.ts";

/** How a server is started and ended. */
export interface ServerPlan {
  /** For errors, for example `Prometheus`. */
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  /** Variables beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Its files; removed when it has ended. */
  readonly folder: string;
  /** The signal that ends it. */
  readonly signal: "SIGTERM" | "SIGKILL";
  /** True, once it serves. */
  readonly isReady: (server: ServerProgram) => boolean | Promise<boolean>;
}

/** A server that runs until the tests of the file are over. */
export class ServerProgram {
  readonly #plan: ServerPlan;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  #errors = "";

  private constructor(plan: ServerPlan) {
    this.#plan = plan;
    this.#child = spawn(plan.program, plan.args, {
      env: { ...env, ...plan.env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
    this.#exited = new Promise((resolve) => this.#child.once("exit", () => resolve()));
    cleanUpLater(this, () => this.stop());
  }

  /** Starts it and waits until it is ready. @throws Error with its errors when it exits or does not get ready. */
  static async start(plan: ServerPlan): Promise<ServerProgram> {
    const server = new ServerProgram(plan);
    try {
      await server.until("is ready", () => plan.isReady(server));
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What it wrote to its standard error. */
  get errors(): string {
    return this.#errors;
  }

  /** Waits until `holds`. @throws Error when the server has exited. */
  async until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const { name } = this.#plan;
    await until(
      `${name} ${what}`,
      async () => {
        if (this.#child.exitCode !== null)
          throw new Error(`${name} exited with ${this.#child.exitCode}: ${this.#errors}`);
        return (await holds()) || undefined;
      },
      () => this.#errors,
    );
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends it and removes its folder. */
  async stop(): Promise<void> {
    cleanedUp(this);
    this.#child.kill(this.#plan.signal);
    await this.#exited;
    rmSync(this.#plan.folder, { recursive: true, force: true });
  }
}

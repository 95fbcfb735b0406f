import { Child } from "../lab/child.ts";
import type { Cleanup } from "../lab/cleanup.ts";
import type { AgentReply, AgentRequest, Handled } from "./agent-messages.ts";
import type { RatedTraffic, Traffic } from "./traffic.ts";

/** A producer or worker process of a system, seen from the bench. */
export class Agent {
  readonly child: Child;
  readonly #waiting = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: Error) => void }
  >();
  #serial = 0;

  private constructor(child: Child) {
    this.child = child;
    child.onMessage((message) => this.#take(message as AgentReply));
    void child.ended.then((exit) => {
      for (const { reject } of this.#waiting.values())
        reject(new Error(`${child.name} ended (${exit}):\n${child.tail()}`));
      this.#waiting.clear();
    });
  }

  /** Starts the process with its system loaded and connected. */
  static async start(
    cleanup: Cleanup,
    options: Omit<Extract<AgentRequest, { do: "open" }>, "do"> & {
      readonly execArgv?: readonly string[];
      readonly env?: Readonly<Record<string, string>>;
    },
  ): Promise<Agent> {
    const { execArgv = [], env = {}, ...open } = options;
    const child = new Child(cleanup, {
      name: `${options.driver} ${options.role}`,
      program: "systems/agent-program.ts",
      env,
      execArgv,
    });
    const agent = new Agent(child);
    await agent.#ask({ do: "open", ...open });
    return agent;
  }

  /** Makes tasks durable in bulk. */
  async submit(count: number, payloadBytes: number): Promise<Traffic> {
    return (await this.#ask({ do: "submit", count, payloadBytes })) as Traffic;
  }

  async submitAtRate(traffic: RatedTraffic): Promise<Traffic> {
    return (await this.#ask({ do: "submit-at-rate", ...traffic })) as Traffic;
  }

  async submitFromCallers(callers: number, forMs: number, payloadBytes: number): Promise<Traffic> {
    return (await this.#ask({ do: "submit-from-callers", callers, forMs, payloadBytes })) as Traffic;
  }

  async resume(): Promise<void> {
    await this.#ask({ do: "resume" });
  }

  async pause(): Promise<void> {
    await this.#ask({ do: "pause" });
  }

  /** Forgets what was counted. */
  async reset(): Promise<void> {
    await this.#ask({ do: "reset" });
  }

  async handled(withLatencies = false): Promise<Handled> {
    return (await this.#ask({ do: "handled", withLatencies })) as Handled;
  }

  /** Closes the system's connections and ends the process. */
  async stop(): Promise<void> {
    await this.#ask({ do: "close" });
    await this.child.stop();
  }

  #ask(request: AgentRequest): Promise<unknown> {
    const id = ++this.#serial;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      try {
        this.child.send({ id, request });
      } catch (error) {
        this.#waiting.delete(id);
        reject(error);
      }
    });
  }

  #take(message: AgentReply): void {
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.error === undefined) waiting?.resolve(message.value);
    else waiting?.reject(new Error(`${this.child.name}: ${message.error}`));
  }
}

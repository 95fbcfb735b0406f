import type { Child } from "../lab/child.ts";
import type { Usage } from "./usage.ts";

/** Arguments of Node that put the probe into a program: pass them as `execArgv`. */
export const PROBE: readonly string[] = [
  "--expose-gc",
  "--import",
  new URL("./probe.ts", import.meta.url).href,
];

/** Longest wait for an answer; only a broken measurement lasts this long. */
const ANSWER_MS = 120_000;

type Json = Readonly<Record<string, unknown>>;

/** A child that was started with `PROBE`: says what it has used and takes commands. */
export class Probed {
  readonly child: Child;
  readonly #answers = new Map<number, (answer: Json) => void>();
  #nextId = 1;

  constructor(child: Child) {
    this.child = child;
    child.onMessage((message) => {
      const answer: Json = Object(message);
      const id = Number(answer.id);
      this.#answers.get(id)?.(answer);
      this.#answers.delete(id);
    });
  }

  /**
   * What it has used.
   * @param collect True: after a collection of garbage. Pass false in the middle of a load.
   */
  async usage(collect: boolean): Promise<Usage> {
    const { usage } = await this.#ask({ probe: "usage", collect });
    return usage as Usage;
  }

  /** Calls a command that the program serves with `serveCommands`. @throws Error with the program's message. */
  async command<T>(name: string, input: Json = {}): Promise<T> {
    const { result, error } = await this.#ask({ command: name, input });
    if (typeof error === "string") throw new Error(`${this.child.name}, ${name}: ${error}`);
    return result as T;
  }

  async #ask(question: Json): Promise<Json> {
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<Json>();
    this.#answers.set(id, resolve);
    const timer = setTimeout(
      () => reject(new Error(`${this.child.name} did not answer within ${ANSWER_MS / 1_000} s`)),
      ANSWER_MS,
    );
    void this.child.ended.then((exit) =>
      reject(new Error(`${this.child.name} ended (${exit}):\n${this.child.tail()}`)),
    );
    this.child.send({ ...question, id });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }
}

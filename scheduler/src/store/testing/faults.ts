/** Injects faults between a store and its user. */
import { DatabaseUnavailableError } from "../../domain/errors.ts";

interface Rule {
  readonly method: string;
  /** Runs the statement, or fails in its place. */
  readonly apply: (args: readonly unknown[], run: () => Promise<unknown>) => Promise<unknown>;
  /** True for a fault that is over with its first call. */
  readonly once: boolean;
}

/** Faults between a store and its user, as a database and its network have them. */
export class Faults {
  /** While this is true, every call fails and applies nothing. */
  away = false;
  readonly #calls: { readonly method: string; readonly args: readonly unknown[] }[] = [];
  #rules: Rule[] = [];

  /** The store with these faults; several stores may share them. */
  wrap<T extends object>(store: T): T {
    return new Proxy(store, {
      get: (target, name) => {
        const member = Reflect.get(target, name);
        if (typeof member !== "function") return member;
        return (...args: unknown[]) =>
          this.#call(String(name), args, async () => Reflect.apply(member, target, args));
      },
    });
  }

  /** Arguments of each call of a method so far, those that failed among them. */
  callsOf(method: string): readonly (readonly unknown[])[] {
    return this.#calls.filter((call) => call.method === method).map(({ args }) => args);
  }

  /** Methods in the order in which they were called. */
  get methods(): string[] {
    return this.#calls.map(({ method }) => method);
  }

  /** Calls of the method wait, before they apply anything, until the returned function is called. */
  hold(method: string): () => void {
    const gate = Promise.withResolvers<void>();
    const rule: Rule = { method, once: false, apply: async (_, run) => gate.promise.then(run) };
    this.#rules.push(rule);
    return () => {
      this.#rules = this.#rules.filter((each) => each !== rule);
      gate.resolve();
    };
  }

  /** Calls of the method are applied at once, and answered when the returned function is called. */
  holdAnswers(method: string): () => void {
    const gate = Promise.withResolvers<void>();
    const rule: Rule = {
      method,
      once: false,
      apply: async (_, run) => {
        const answer = await run();
        await gate.promise;
        return answer;
      },
    };
    this.#rules.push(rule);
    return () => {
      this.#rules = this.#rules.filter((each) => each !== rule);
      gate.resolve();
    };
  }

  /** The next call of the method fails with `error`, and applies nothing. */
  failOnce(method: string, error: Error): void {
    this.#rules.push({ method, once: true, apply: () => Promise.reject(error) });
  }

  /**
   * Calls of the method fail, whole, while a row of their first argument is refused: the function gives the error of a
   * row, or undefined for one that is taken.
   */
  refuseRows<T>(method: string, errorOf: (row: T) => Error | undefined): void {
    const apply: Rule["apply"] = (args, run) => {
      for (const row of args[0] as readonly T[]) {
        const error = errorOf(row);
        if (error) return Promise.reject(error);
      }
      return run();
    };
    this.#rules.push({ method, once: false, apply });
  }

  /** The next call of the method is applied, but its answer is lost; `onLost` gets its first argument. */
  loseAnswerOnce<T>(method: string, onLost: (rows: T) => void = () => undefined): void {
    const apply: Rule["apply"] = async (args, run) => {
      await run();
      onLost(args[0] as T);
      throw new DatabaseUnavailableError("the connection broke", true, undefined);
    };
    this.#rules.push({ method, once: true, apply });
  }

  #call(method: string, args: readonly unknown[], run: () => Promise<unknown>): Promise<unknown> {
    this.#calls.push({ method, args });
    if (this.away) return Promise.reject(new DatabaseUnavailableError("away", false, undefined));
    const rule = this.#rules.find((each) => each.method === method);
    if (!rule) return run();
    if (rule.once) this.#rules = this.#rules.filter((each) => each !== rule);
    return rule.apply(args, run);
  }
}

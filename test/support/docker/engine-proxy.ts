/** A socket between a launcher and its engine, which can hold a request or its answer: a test ends the launcher meanwhile. */
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";

/** Where a request is held. */
export type Hold = "before" | "after";

/** Passes on what clients ask the engine. */
export class EngineProxy {
  readonly #server: Server;
  readonly #engine: string;
  #holding: { readonly path: RegExp; readonly where: Hold; readonly reached: () => void } | undefined;

  private constructor(engine: string) {
    this.#engine = engine;
    this.#server = createServer((asked, answer) => this.#pass(asked, answer));
  }

  /** @param socket Of the proxy. @param engine Socket of the engine. */
  static async start(socket: string, engine: string): Promise<EngineProxy> {
    const proxy = new EngineProxy(engine);
    await new Promise<void>((resolve) => proxy.#server.listen(socket, resolve));
    return proxy;
  }

  /** Holds the next matching request before it is passed on, or its answer. Resolves when it is held. */
  hold(path: RegExp, where: Hold): Promise<void> {
    return new Promise((reached) => {
      this.#holding = { path, where, reached };
    });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #pass(asked: IncomingMessage, answer: ServerResponse): void {
    const { method, url = "", headers } = asked;
    const held = this.#holding?.path.test(`${method} ${url}`) ? this.#holding : undefined;
    if (held) this.#holding = undefined;
    if (held?.where === "before") return held.reached();
    const passed = request({ socketPath: this.#engine, method, path: url, headers }, (answered) => {
      if (held) {
        answered.resume().once("end", held.reached);
        return;
      }
      answer.writeHead(answered.statusCode ?? 502, answered.headers);
      answer.flushHeaders();
      answered.pipe(answer);
    });
    // As the engine would: the client sees a connection that ends.
    passed.once("error", () => answer.destroy());
    answer.once("close", () => {
      if (!held) passed.destroy();
    });
    asked.pipe(passed);
  }
}

/** Where the link reads whether its worker turns. */
import type { TickSource } from "../lines/hello-line.ts";
import { Liveness, TickFile, type Turns } from "./liveness.ts";

/** Reads the turns of a worker from the source that it has chosen. */
export class LineTurns {
  source: TickSource = "none";
  readonly #file: TickFile;
  readonly #lines = new Liveness();
  #count = 0n;

  /** @param path Of the tick file, which is made. */
  constructor(path: string) {
    this.#file = new TickFile(path);
  }

  get path(): string {
    return this.#file.path;
  }

  /** A line `tick` has come. */
  line(): void {
    this.#count += 1n;
  }

  look(nowMs: number): Turns {
    switch (this.source) {
      case "file":
        return this.#file.look(nowMs);
      case "lines":
        return this.#lines.look(this.#count, 0n, nowMs);
      case "none":
        return { lastTurnMs: nowMs, blocked: undefined };
      default:
        return this.source satisfies never;
    }
  }

  close(): void {
    this.#file.close();
  }
}

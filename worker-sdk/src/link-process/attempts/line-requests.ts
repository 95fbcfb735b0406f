/** Requests of a worker that are answered later. */
import { classNameOf, messageOf, toCode } from "../../attempt/failure/classify.ts";

/** Most requests of an attempt that are open at once. */
const MAX_OPEN = 1_000;

/** Answers each request once. */
export class LineRequests {
  readonly #write: (line: Readonly<Record<string, unknown>>) => void;
  readonly #open = new Set<number>();

  constructor(write: (line: Readonly<Record<string, unknown>>) => void) {
    this.#write = write;
  }

  /** Runs what was asked for, and answers. @throws Error for a number that is in use, or too many. */
  answer(request: number, run: () => Promise<Readonly<Record<string, unknown>>>): void {
    if (this.#open.has(request)) throw new Error(`request ${request} is open; give another number`);
    if (this.#open.size >= MAX_OPEN) throw new Error(`${MAX_OPEN} requests are open; wait for answers`);
    this.#open.add(request);
    // Synchronous throws are answers, too.
    const answered = Promise.resolve().then(run);
    answered.then(
      (fields) => this.#send(request, { ok: true, ...fields }),
      (error: unknown) => this.#send(request, { ok: false, error: errorOf(error) }),
    );
  }

  #send(request: number, fields: Readonly<Record<string, unknown>>): void {
    this.#open.delete(request);
    this.#write({ kind: "answer", request, ...fields });
  }
}

function errorOf(error: unknown): { code: string; message: string } {
  const { code }: { code?: unknown } = Object(error);
  return { code: toCode(typeof code === "string" ? code : classNameOf(error)), message: messageOf(error) };
}

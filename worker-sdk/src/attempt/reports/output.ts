/** What a handler streams ahead of its result. */
import type { Link } from "../../link/link.ts";
import { isBytes } from "../json-form.ts";

/** Largest chunk of one message. */
const MAX_CHUNK_BYTES = 64 * 1024;

/** Sends the output of one attempt in numbered chunks. */
export class Output {
  readonly #attemptId: string;
  readonly #link: Pick<Link, "send" | "flush">;
  #chunks = 0;

  constructor(attemptId: string, link: Pick<Link, "send" | "flush">) {
    this.#attemptId = attemptId;
    this.#link = link;
  }

  /** @throws TypeError when the chunk is neither a text nor a Uint8Array. */
  send(chunk: string | Uint8Array): void {
    const bytes = typeof chunk === "string" ? Buffer.from(chunk, "utf8") : chunk;
    if (!isBytes(bytes)) {
      throw new TypeError(
        "ctx.output() takes a text or a Uint8Array; for other bytes give new Uint8Array(buffer)",
      );
    }
    for (let start = 0; start < bytes.byteLength; start += MAX_CHUNK_BYTES) {
      this.#chunks += 1;
      // A copy: cloning a view copies the whole buffer below it.
      const data = new Uint8Array(bytes.subarray(start, start + MAX_CHUNK_BYTES));
      this.#link.send({ kind: "output", attemptId: this.#attemptId, sequence: this.#chunks, data });
    }
    this.#link.flush();
  }
}

import { RollingFile } from "@muster/common/rolling-file";

/** The log file for the output of a worker's process. */
export interface OutputFileOptions {
  readonly path: string;
  readonly maxBytes: number;
  /** Older files that are kept. */
  readonly keep: number;
}

/** A longer line is written in pieces, between which the other stream may write. */
const MAX_HELD_BYTES = 256 * 1024;

const LINE_FEED = 0x0a;

/** Writes both streams of a process to one rotated file, in whole lines. */
export class OutputFile {
  readonly #file: RollingFile;
  readonly #held: Record<"stdout" | "stderr", Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };

  /**
   * @param onFault Called when the file can no longer be written, and when it can again.
   * @throws Error when the file cannot be opened.
   */
  constructor(options: OutputFileOptions, onFault: (message: string) => void) {
    this.#file = new RollingFile({
      ...options,
      onFault: (error) => onFault(`the log file ${options.path} cannot be written: ${error.message}`),
      onRecovered: (lost) =>
        onFault(`the log file ${options.path} can be written again; ${lost} writes are missing`),
    });
  }

  push(chunk: Uint8Array, from: "stdout" | "stderr"): void {
    const bytes = Buffer.concat([this.#held[from], chunk]);
    const whole = bytes.length > MAX_HELD_BYTES ? bytes.length : bytes.lastIndexOf(LINE_FEED) + 1;
    if (whole > 0) this.#file.write(bytes.subarray(0, whole));
    // A copy: a part of a chunk would hold all of it in memory.
    this.#held[from] = Buffer.from(bytes.subarray(whole));
  }

  /** A line of the supervisor; ends with a line feed. */
  line(text: string): void {
    this.#file.write(text);
  }

  /** Writes incomplete last lines: the process has ended. */
  endLines(): void {
    for (const from of ["stdout", "stderr"] as const) {
      if (this.#held[from].length > 0) this.#file.write(Buffer.concat([this.#held[from], Buffer.from("\n")]));
      this.#held[from] = Buffer.alloc(0);
    }
  }

  close(): void {
    this.endLines();
    this.#file.close();
  }
}

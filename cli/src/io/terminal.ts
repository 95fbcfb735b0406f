import type { ReadStream, WriteStream } from "node:tty";

/** A terminal under the exclusive control of a command. */
export interface Terminal {
  /** The output, for redrawing. */
  readonly stream: NodeJS.WritableStream;
  size(): { readonly columns: number; readonly rows: number };
  /** Calls back with each key as the terminal sends it: a character, or the escape sequence of an arrow. */
  onKey(callback: (key: string) => void): void;
  onResize(callback: () => void): void;
  /** Calls back at SIGINT, SIGTERM and SIGHUP. */
  onEnd(callback: () => void): void;
  /** Clears the screen. */
  wipe(): void;
  /** Restores the terminal. Safe to call twice. */
  close(): void;
}

const ENTER = "\u001b[?1049h\u001b[H\u001b[2J\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";
const WIPE = "\u001b[2J\u001b[H";

/** An escape sequence, or a character; Escape alone is one. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: terminals send them.
const KEYS = /\u001b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z])|./gsu;

const END_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Switches a terminal to the alternate screen, without a cursor, with raw key input. */
export function openTerminal(input: ReadStream, output: WriteStream): Terminal {
  const undo: (() => void)[] = [];
  let open = true;
  const close = (): void => {
    if (!open) return;
    open = false;
    for (const each of undo.toReversed()) each();
    output.write(LEAVE);
  };
  output.write(ENTER);
  // Restores the shell's screen however the process ends.
  process.on("exit", close);
  undo.push(() => process.off("exit", close));
  if (input.isTTY) {
    input.setRawMode(true);
    undo.push(() => {
      input.setRawMode(false);
      input.pause();
    });
  }
  return {
    stream: output,
    size: () => ({ columns: output.columns || 80, rows: output.rows || 24 }),
    onKey(callback) {
      if (!input.isTTY) return;
      const listener = (data: Buffer | string): void => {
        for (const key of String(data).match(KEYS) ?? []) callback(key);
      };
      input.on("data", listener);
      undo.push(() => input.off("data", listener));
    },
    onResize(callback) {
      output.on("resize", callback);
      undo.push(() => output.off("resize", callback));
    },
    onEnd(callback) {
      for (const signal of END_SIGNALS) {
        process.on(signal, callback);
        undo.push(() => process.off(signal, callback));
      }
    },
    wipe: () => void output.write(WIPE),
    close,
  };
}

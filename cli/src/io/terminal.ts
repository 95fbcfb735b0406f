import type { ReadStream, WriteStream } from "node:tty";

/** A terminal that a command has to itself. */
export interface Terminal {
  /** For what draws over what it drew before. */
  readonly stream: NodeJS.WritableStream;
  size(): { readonly columns: number; readonly rows: number };
  /** Calls back with each key as the terminal sends it. */
  onKey(callback: (key: string) => void): void;
  onResize(callback: () => void): void;
  /** Calls back when the process is told to end. */
  onEnd(callback: () => void): void;
  /** Takes everything off the screen. */
  wipe(): void;
  /** Gives the terminal back as it was. Safe to call twice. */
  close(): void;
}

const ENTER = "\u001b[?1049h\u001b[H\u001b[2J\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";
const WIPE = "\u001b[2J\u001b[H";

const END_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Takes a terminal over: a screen of its own, no cursor, keys as they are pressed. */
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
  // However the process ends, the shell gets its screen back.
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
        for (const key of String(data)) callback(key);
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

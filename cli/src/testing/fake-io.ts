/** Streams and a clock for tests of commands. */
import { PassThrough } from "node:stream";
import pc from "picocolors";
import type { Io, Screen } from "../io/io.ts";

/** The constant time of a fake clock: 2026-01-02 03:04:05 UTC. */
export const FAKE_NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

/** A terminal (or pipe) in memory. */
export interface FakeIo extends Io {
  /** All that was written to stdout. */
  out(): string;
  /** All that was written to stderr, without the bar. */
  err(): string;
  /** Presses Ctrl-C. */
  interrupt(): void;
  /** Fires the timer that was set last. */
  fire(): void;
  /** Resolves when a timer is set. */
  timerSet(): Promise<void>;
}

/** An Io with streams in memory and a constant clock. */
export function fakeIo({ isTTY = false, columns = 80 }: { isTTY?: boolean; columns?: number } = {}): FakeIo {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  const screen = (chunks: Buffer[]): Screen => ({
    isTTY,
    columns,
    colors: pc.createColors(false),
    write: (data) => void chunks.push(Buffer.from(data)),
  });
  const interrupts = new Set<() => void>();
  let timer: (() => void) | undefined;
  const waiting: (() => void)[] = [];
  return {
    stdin: new PassThrough(),
    stdout: { ...screen(out), stream: new PassThrough().resume() },
    stderr: { ...screen(err), stream: new PassThrough().resume() },
    env: {},
    clock: {
      now: () => FAKE_NOW,
      timeOfDay: () => "03:04:05",
      monotonic: () => 0,
      after(_delayMs, callback) {
        timer = callback;
        for (const resolve of waiting.splice(0)) resolve();
        return () => {
          if (timer === callback) timer = undefined;
        };
      },
      sleep: () => Promise.resolve(),
    },
    onInterrupt(callback) {
      interrupts.add(callback);
      return () => interrupts.delete(callback);
    },
    openTerminal: () => {
      throw new Error("a fake has no terminal");
    },
    onStop: () => () => {},
    ignorePipeErrors() {},
    out: () => Buffer.concat(out).toString(),
    err: () => Buffer.concat(err).toString(),
    interrupt() {
      for (const callback of interrupts) callback();
    },
    fire() {
      const due = timer;
      timer = undefined;
      due?.();
    },
    timerSet() {
      if (timer !== undefined) return Promise.resolve();
      return new Promise((resolve) => {
        waiting.push(resolve);
      });
    },
  };
}

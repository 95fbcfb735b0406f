/** Shows the progress of a task while a command waits for it. */
import { formatDuration } from "@muster/common/text/duration-text";
import type { Task } from "@muster/protocol";
import { TaskState } from "@muster/protocol";
import { SingleBar } from "cli-progress";
import type { Io } from "../../io/io.ts";
import { enumName, progressText } from "../cells.ts";
import { cut, oneLine, wrap } from "../text.ts";

/** Shows the progress of a task on stderr. */
export interface WaitDisplay {
  update(task: Task): void;
  /** Shows a message beside the progress. */
  note(text: string): void;
  /** Removes the bar; nothing may be shown afterwards. */
  end(): void;
}

const WAITING = "waiting:";
const BAR_STEPS = 1000;
const BAR_WIDTH = 24;

/** A bar on a terminal; lines when stderr is piped; nothing when `quiet`. */
export function createWaitDisplay(io: Io, quiet: boolean): WaitDisplay {
  if (quiet) return { update() {}, note() {}, end() {} };
  return io.stderr.isTTY ? barDisplay(io) : lineDisplay(io);
}

function barDisplay({ stderr, clock }: Io): WaitDisplay {
  const began = clock.now();
  const { cyan, dim, yellow } = stderr.colors;
  const elapsed = (): string => {
    const ms = clock.now() - began;
    return ms < 60_000 ? `${Math.floor(ms / 1000)} s` : formatDuration(ms);
  };
  let text = "";
  let ended = false;
  let fraction: number | undefined;
  const bar = new SingleBar({
    stream: stderr.stream,
    clearOnComplete: true,
    forceRedraw: true,
    // The CLI handles Ctrl-C itself.
    gracefulExit: false,
    format: () => {
      const prefix = fraction === undefined ? "" : `${drawBar(fraction)} `;
      const room = stderr.columns - prefix.length - elapsed().length - 2;
      return `${cyan(prefix)}${cut(text, Math.max(room, 10))} ${dim(elapsed())}`;
    },
  });
  bar.start(BAR_STEPS, 0);
  return {
    update(task) {
      text = progressLine(task);
      fraction = shareDone(task);
      ended = task.finishTime !== undefined;
      bar.update(Math.round((fraction ?? 0) * BAR_STEPS));
    },
    note(message) {
      // Overwrites the bar's line; the bar is redrawn below. The bar disables the terminal's wrapping, so a longer
      // line would be cut.
      const lines = wrap(message, stderr.columns, " ".repeat(WAITING.length + 1)).trimStart();
      stderr.write(`\r\u001b[K${yellow(WAITING)} ${lines}\n`);
    },
    end() {
      bar.stop();
      if (ended) stderr.write(`${text} ${dim(`after ${elapsed()}`)}\n`);
    },
  };
}

/** Without a terminal: a line at each change other than progress, else one a second. */
const LINE_EVERY_MS = 1000;

function lineDisplay({ stderr, clock }: Io): WaitDisplay {
  let step = "";
  let line = "";
  let wroteAt = Number.NEGATIVE_INFINITY;
  return {
    update(task) {
      const nextStep = `${task.state} ${task.detail} ${task.phase} ${task.attemptId}`;
      const nextLine = progressLine(task);
      const now = clock.now();
      if (nextLine === line || (nextStep === step && now - wroteAt < LINE_EVERY_MS)) return;
      step = nextStep;
      line = nextLine;
      wroteAt = now;
      stderr.write(`${line}\n`);
    },
    note(message) {
      stderr.write(`waiting: ${oneLine(message)}\n`);
    },
    end() {},
  };
}

/** `t-12 running inference 40% page 3 of 9`. */
export function progressLine(task: Task): string {
  const state = enumName(TaskState, task.state);
  const detail = task.detail === state ? "" : task.detail;
  const running = task.state === TaskState.RUNNING;
  const parts = [
    task.id,
    state,
    detail,
    running ? progressText(task) : "",
    running ? (task.progress?.message ?? "") : "",
    running && task.workerId !== "" ? `on ${task.workerId}` : "",
  ];
  return oneLine(parts.filter((part) => part !== "").join(" "));
}

/** Completed fraction, 0 to 1; `undefined` when the handler reported none. */
export function shareDone({ progress }: Pick<Task, "progress">): number | undefined {
  if (progress === undefined) return undefined;
  if (progress.fraction !== undefined) return Math.min(1, Math.max(0, progress.fraction));
  const { doneCount, totalCount } = progress;
  if (doneCount === undefined || totalCount === undefined || totalCount <= 0n) return undefined;
  return Math.min(1, Math.max(0, Number(doneCount) / Number(totalCount)));
}

function drawBar(fraction: number): string {
  const full = Math.round(fraction * BAR_WIDTH);
  return `${"█".repeat(full)}${"░".repeat(BAR_WIDTH - full)}`;
}

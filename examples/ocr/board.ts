import type { PlainTask, TaskStateName } from "@muster/worker/client";
import { MultiBar, Presets, type SingleBar } from "cli-progress";

/** Shows how far each page is. */
export interface Board {
  update(index: number, task: PlainTask): void;
  /** Prints a text above the bars, or between the lines. */
  log(text: string): void;
  close(): void;
}

const STATES: Readonly<Record<TaskStateName, string>> = {
  queued: "waiting",
  assigned: "assigned",
  running: "running",
  succeeded: "done",
  failed: "failed",
  cancelled: "cancelled",
};

/** A bar for each page on a terminal; when piped a line for each change of state, phase or quarter. */
export function createBoard(names: readonly string[]): Board {
  return process.stdout.isTTY ? bars(names) : lines(names);
}

function bars(names: readonly string[]): Board {
  const multi = new MultiBar(
    { format: "  {name} {bar} {percentage} %  {what}", hideCursor: true, clearOnComplete: false },
    Presets.rect,
  );
  const list: SingleBar[] = names.map((name) =>
    multi.create(100, 0, { name: name.padEnd(10), what: "waiting" }),
  );
  return {
    update: (index, task) => list[index]?.update(percent(task), { what: describe(task) }),
    log: (text) => multi.log(`${text}\n`),
    close: () => multi.stop(),
  };
}

function lines(names: readonly string[]): Board {
  const last = new Map<number, string>();
  return {
    update(index, task) {
      const reached = `${Math.floor(percent(task) / 25)} ${describe(task)}`;
      if (last.get(index) === reached) return;
      last.set(index, reached);
      process.stdout.write(
        `  ${(names[index] ?? "").padEnd(10)} ${String(percent(task)).padStart(3)} %  ${describe(task)}\n`,
      );
    },
    log: (text) => {
      process.stdout.write(`${text}\n`);
    },
    close: () => undefined,
  };
}

function percent(task: PlainTask): number {
  if (task.state === "succeeded") return 100;
  return Math.round((task.progress?.fraction ?? 0) * 100);
}

function describe(task: PlainTask): string {
  const state = STATES[task.state];
  const where = task.workerId ? ` on ${task.workerId}` : "";
  return task.phase ? `${task.phase}${where}` : `${state}${where}`;
}

/** Formats values for table cells. */
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import { durationMs, timestampDate, timestampMs } from "@bufbuild/protobuf/wkt";
import { formatAge, formatDuration } from "@muster/common/text/duration-text";
import type { Task, Worker } from "@muster/protocol";
import { TaskState, WorkerState } from "@muster/protocol";
import type { Colors } from "../io/io.ts";
import type { Cell } from "./table.ts";

/** A time: its age on a terminal, ISO 8601 when piped; empty when unset. */
export function ageCell(time: Timestamp | undefined, now: number): Cell {
  if (time === undefined) return { text: "" };
  return { text: formatAge(now - timestampMs(time)), plain: timestampDate(time).toISOString() };
}

/** A time with its age, for views of one item; `undefined` when unset. */
export function momentCell(time: Timestamp | undefined, now: number): Cell | undefined {
  if (time === undefined) return undefined;
  const iso = timestampDate(time).toISOString();
  return { text: `${formatAge(now - timestampMs(time))} (${iso})`, plain: iso };
}

/** A duration: `1 min 12 s` on a terminal, milliseconds when piped. */
export function durationCell(duration: Duration | undefined): Cell {
  if (duration === undefined) return { text: "" };
  const ms = durationMs(duration);
  return { text: formatDuration(ms), plain: String(Math.round(ms)) };
}

/** A label set as `a=1 b=2`. */
export function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(" ");
}

/** Name of an enum value in lower case; the number for one that this version does not know. */
export function enumName(names: object, value: number): string {
  const found = Object.entries(names).find(([, each]) => each === value);
  return found === undefined ? String(value) : found[0].toLowerCase();
}

/** A task's state, coloured. */
export function taskStateCell({ state, detail }: Pick<Task, "state" | "detail">, colors: Colors): Cell {
  return { text: enumName(TaskState, state), paint: taskPaint(state, detail, colors) };
}

/** A worker's state, coloured. */
export function workerStateCell({ state, paused }: Pick<Worker, "state" | "paused">, colors: Colors): Cell {
  return { text: enumName(WorkerState, state), paint: workerPaint(state, paused, colors) };
}

/** Progress in short form: `inference 40%`, `12/30`; empty when there is none. */
export function progressText({ phase, progress }: Pick<Task, "phase" | "progress">): string {
  const share = progress?.fraction === undefined ? "" : `${Math.floor(progress.fraction * 100)}%`;
  const count =
    progress?.doneCount === undefined
      ? ""
      : `${progress.doneCount}${progress.totalCount === undefined ? "" : `/${progress.totalCount}`}`;
  return [phase, share || count].filter((part) => part !== "").join(" ");
}

function taskPaint(state: TaskState, detail: string, colors: Colors): (text: string) => string {
  if (state === TaskState.FAILED) return colors.red;
  if (state === TaskState.CANCELLED) return colors.dim;
  if (state === TaskState.SUCCEEDED) {
    return detail === "succeeded_with_warnings" ? colors.yellow : colors.green;
  }
  if (state === TaskState.RUNNING) return detail === "cancelling" ? colors.yellow : colors.cyan;
  return String;
}

function workerPaint(state: WorkerState, paused: boolean, colors: Colors): (text: string) => string {
  if (state === WorkerState.LOST || state === WorkerState.REFUSED) return colors.red;
  if (state === WorkerState.SUSPECT || state === WorkerState.DRAINING) return colors.yellow;
  if (state === WorkerState.GONE) return colors.dim;
  if (state === WorkerState.READY) return paused ? colors.yellow : colors.green;
  return String;
}

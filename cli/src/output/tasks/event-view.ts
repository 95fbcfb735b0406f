/** Shows events as text. */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Event } from "@muster/protocol";
import type { Screen } from "../../io/io.ts";
import { labelsText } from "../cells.ts";
import { cut, oneLine } from "../text.ts";

/** Fits `task.model_load.completed`, and on a wide terminal `worker.startup_timeout_unregistered`. */
const NAME_WIDTH = 24;
const WIDE_NAME_WIDTH = 34;
const WIDE = 110;

/**
 * Writes one event as a line. On a terminal: local time, name, subject, facts, cut to its width. Piped: id, ISO time,
 * name, task, attempt, worker, facts, separated by tabs.
 */
export function writeEvent(event: Event, screen: Screen): void {
  const facts = labelsText(event.attributes);
  const time = event.time === undefined ? undefined : timestampDate(event.time);
  if (!screen.isTTY) {
    const { id, name, taskId, attemptId, workerId } = event;
    const values = [String(id), time?.toISOString() ?? "", name, taskId, attemptId, workerId, facts];
    screen.write(`${values.map(oneLine).join("\t")}\n`);
    return;
  }
  const { dim, bold, red, yellow } = screen.colors;
  const when = time === undefined ? "" : localTime(time);
  const about = [event.attemptId || event.taskId, event.workerId].filter(Boolean).join(" ");
  const nameWidth = screen.columns >= WIDE ? WIDE_NAME_WIDTH : NAME_WIDTH;
  const name = oneLine(event.name).padEnd(nameWidth);
  const rest = [about, facts].map(oneLine).filter(Boolean).join("  ");
  const paint = alarm(event.name) === "bad" ? red : alarm(event.name) === "warn" ? yellow : bold;
  const room = Math.max(screen.columns - when.length - nameWidth - 4, 20);
  // The rest of an event with a longer name goes to the next line, in its column.
  const gap = name.length <= nameWidth ? "  " : `\n${" ".repeat(when.length + nameWidth + 4)}`;
  screen.write(`${dim(when)}  ${paint(name)}${rest === "" ? "" : `${gap}${cut(rest, room)}`}\n`);
}

function alarm(name: string): "bad" | "warn" | "none" {
  if (/(failed|fatal|lost|refused|startup_timeout_unregistered)$/.test(name)) return "bad";
  return /(stuck|suspect|requeued:.*|draining)$/.test(name) ? "warn" : "none";
}

/** `11-22 03:46:56.123` in local time. */
export function localTime(time: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const date = `${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":");
  return `${date} ${clock}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}

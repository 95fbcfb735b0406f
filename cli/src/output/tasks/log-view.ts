/** Shows lines of handlers as text. */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { LogLevel, TaskLogRecord } from "@muster/protocol";
import { LOG_LEVELS } from "../../arguments/log-level.ts";
import type { Screen } from "../../io/io.ts";
import { oneLine } from "../text.ts";
import { localTime } from "./event-view.ts";

/** Words for levels. */
const WORDS: ReadonlyMap<LogLevel, string> = new Map([...LOG_LEVELS].map(([word, level]) => [level, word]));

/** Writes a line, or a gap. On a terminal it is not cut: it is the author's own text. */
export function writeLogRecord(record: TaskLogRecord, screen: Screen): void {
  const { attemptId, sequence, message, fieldsJson, missingCount } = record;
  const isGap = missingCount > 0n;
  const level = isGap ? "gap" : (WORDS.get(record.level) ?? "info");
  const text = isGap ? `${missingCount} ${missingCount === 1n ? "line is" : "lines are"} missing` : message;
  const time = record.time === undefined ? undefined : timestampDate(record.time);
  if (!screen.isTTY) {
    const values = [attemptId, String(sequence), time?.toISOString() ?? "", level, text, fieldsJson];
    screen.write(`${values.map(oneLine).join("\t")}\n`);
    return;
  }
  const { dim, red, yellow } = screen.colors;
  const paint = level === "error" ? red : level === "warn" || isGap ? yellow : (shown: string) => shown;
  const when = time === undefined ? " ".repeat(18) : localTime(time);
  const facts = fieldsJson === "" ? "" : `  ${dim(oneLine(fieldsJson))}`;
  screen.write(`${dim(when)}  ${dim(attemptId)}  ${paint(`${level.padEnd(5)}  ${oneLine(text)}`)}${facts}\n`);
}

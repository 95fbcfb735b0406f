/** Shows schedules as text. */
import { durationMs, type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { formatDuration } from "@muster/common/text/duration-text";
import type { Schedule, ScheduleSpec, ScheduleTickRecord } from "@muster/protocol";
import { CatchUpPolicy, OverlapPolicy, ScheduleState, TickOutcome } from "@muster/protocol";
import type { Io } from "../../io/io.ts";
import { ageCell, enumName, momentCell } from "../cells.ts";
import type { Cell } from "../table.ts";
import { writeFields, writeTable } from "../table.ts";
import { oneLine } from "../text.ts";

/** The policies by the names that they have here: `none` is a word of too many languages for the API. */
export const CATCH_UP = {
  NONE: CatchUpPolicy.SKIP_MISSED,
  LAST: CatchUpPolicy.LAST,
  ALL: CatchUpPolicy.ALL,
} as const;

const COLUMNS = [
  { title: "NAME", shrink: "last" },
  { title: "STATE" },
  { title: "TIMING", shrink: "first" },
  { title: "NEXT" },
  { title: "LAST" },
  { title: "OUTCOME" },
  { title: "TYPE", shrink: "first" },
  { title: "QUEUE", shrink: "first" },
] as const;

const TICK_COLUMNS = [
  { title: "TICK" },
  { title: "OUTCOME" },
  { title: "TASK" },
  { title: "DECIDED" },
] as const;

/** Shows schedules as a table. */
export function writeSchedules(schedules: readonly Schedule[], { stdout, clock }: Io): void {
  const now = clock.now();
  writeTable(
    stdout,
    COLUMNS,
    schedules.map((schedule): (Cell | string)[] => {
      const { spec, state, dueTime, nextTimes, ticks } = schedule;
      const [last] = ticks;
      return [
        spec?.name ?? "",
        { text: enumName(ScheduleState, state), paint: paintOf(state, stdout.colors) },
        timingText(spec),
        ageCell(dueTime ?? nextTimes[0], now),
        ageCell(last?.tickTime, now),
        last === undefined ? "" : outcomeText(last),
        spec?.task?.taskType ?? "",
        spec?.task?.queue || "default",
      ];
    }),
  );
}

/** Shows one schedule with its next and its last ticks. */
export function writeSchedule(schedule: Schedule, { stdout, clock }: Io): void {
  const now = clock.now();
  const { spec, state, failure } = schedule;
  writeFields(stdout, [
    ["name", spec?.name],
    ["state", { text: enumName(ScheduleState, state), paint: paintOf(state, stdout.colors) }],
    ["paused", momentCell(schedule.pauseTime, now)],
    ["pause reason", unlessEmpty(oneLine(schedule.pauseReason))],
    [
      "failure",
      failure && {
        text: oneLine(`${failure.code} ${failure.message} (${failure.count} tries)`),
        paint: stdout.colors.red,
      },
    ],
    ["failing since", momentCell(failure?.sinceTime, now)],
    ["type", spec?.task?.taskType],
    ["queue", spec?.task?.queue || "default"],
    ["timing", timingText(spec)],
    ["jitter", spec?.jitter && formatDuration(durationMs(spec.jitter))],
    ["overlap", enumName(OverlapPolicy, spec?.overlap ?? 0)],
    ["catch-up", catchUpText(spec)],
    ["start", momentCell(spec?.startTime, now)],
    ["end", momentCell(spec?.endTime, now)],
    ["set", momentCell(schedule.setTime, now)],
    ["due", momentCell(schedule.dueTime, now)],
    ...schedule.nextTimes.map((time): [string, Cell | undefined] => ["next tick", momentCell(time, now)]),
    ["open tasks", unlessEmpty(schedule.openTaskIds.join(" "))],
    ...(stdout.isTTY
      ? []
      : schedule.ticks.map((tick): [string, string] => [
          "tick",
          [tickText(tick), outcomeText(tick), tick.taskId].filter(Boolean).join(" "),
        ])),
  ]);
  if (!stdout.isTTY || schedule.ticks.length === 0) return;
  stdout.write("\n");
  writeTable(
    stdout,
    TICK_COLUMNS,
    schedule.ticks.map((tick) => [
      tickText(tick),
      outcomeText(tick),
      tick.taskId,
      ageCell(tick.decideTime, now),
    ]),
  );
}

/** `30 2 * * * Europe/Berlin`, or `every 15 min`. */
function timingText(spec: ScheduleSpec | undefined): string {
  if (spec?.timing.case === "every") return `every ${formatDuration(durationMs(spec.timing.value))}`;
  if (spec?.timing.case !== "cron") return "";
  const { expression, timezone } = spec.timing.value;
  return oneLine(`${expression} ${timezone}`);
}

function catchUpText(spec: ScheduleSpec | undefined): string {
  const policy = spec?.catchUp ?? 0;
  const name = enumName(CATCH_UP, policy);
  return policy === CatchUpPolicy.ALL ? `${name}, up to ${spec?.catchUpLimit}` : name;
}

function tickText({ tickTime, lastTickTime, count }: ScheduleTickRecord): string {
  return count > 1n ? `${iso(tickTime)} to ${iso(lastTickTime)}` : iso(tickTime);
}

function outcomeText({ outcome, manual, count }: ScheduleTickRecord): string {
  if (manual) return "run on request";
  return `${enumName(TickOutcome, outcome)}${count > 1n ? ` ${count}` : ""}`;
}

function iso(time: Timestamp | undefined): string {
  return time === undefined ? "" : timestampDate(time).toISOString();
}

function paintOf(state: ScheduleState, colors: Io["stdout"]["colors"]): (text: string) => string {
  if (state === ScheduleState.FAILING) return colors.red;
  if (state === ScheduleState.PAUSED) return colors.yellow;
  return state === ScheduleState.ENDED ? colors.dim : colors.green;
}

function unlessEmpty(text: string): string | undefined {
  return text === "" ? undefined : text;
}

/** Renders one frame of `muster top`. */
import { stripVTControlCharacters } from "node:util";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { formatDuration } from "@muster/common/text/duration-text";
import type { Overview, TaskOverview } from "@muster/protocol";
import { WorkerState } from "@muster/protocol";
import type { Colors } from "../io/io.ts";
import { enumName } from "../output/cells.ts";
import { type Cell, tableLines } from "../output/table.ts";
import { cut, oneLine } from "../output/text.ts";
import { leftText } from "../output/words/progress-text.ts";
import { type Findings, findingLines } from "./findings.ts";
import { holds } from "./holds.ts";
import { shareRows } from "./layout.ts";
import { isSame, type Subject } from "./navigation.ts";
import { queues } from "./queues.ts";
import { type Section, span } from "./section.ts";
import { workers } from "./workers.ts";

/** The content of a frame. */
export interface View {
  /** Undefined until the first answer. */
  readonly overview: Overview | undefined;
  /** Error of the last request; undefined when it succeeded. */
  readonly failure: string | undefined;
  /** Milliseconds since the last answer, or since the start without one. */
  readonly silentMs: number;
  /** Addresses of the scheduler. */
  readonly address: string;
  /** The local time of day. */
  readonly time: string;
  readonly columns: number;
  /** Undefined: no limit. */
  readonly rows: number | undefined;
  readonly colors: Colors;
  /** Shown in the last line; empty for none. */
  readonly help: string;
  /** What is wrong; undefined before the first answer. */
  readonly findings?: Findings | undefined;
  /** The row that Enter opens. */
  readonly selected?: Subject | undefined;
}

/** A frame with the rows that can be chosen. */
export interface Frame {
  readonly lines: string[];
  /** What the rows are, from the top. */
  readonly subjects: readonly Subject[];
}

/** A line, and what its row is. */
interface Line {
  readonly text: string;
  readonly subject?: Subject | undefined;
}

const STATE_ORDER = [
  WorkerState.READY,
  WorkerState.SUSPECT,
  WorkerState.REFUSED,
  WorkerState.DRAINING,
  WorkerState.REGISTERED,
  WorkerState.CONNECTING,
  WorkerState.LAUNCHING,
] as const;

/** A report that is older is shown with its age. */
const OLD_REPORT_MS = 10_000;

/** Rows of each section in a frame without a height. */
const ROWS_UNBOUND = 10;

const TASK_COLUMNS = [
  { title: "TASK" },
  { title: "TYPE", shrink: "first" },
  { title: "ON", shrink: "first" },
  { title: "PHASE", shrink: "last" },
  { title: "FOR" },
  { title: "NOTE" },
] as const;
const FAILURE_COLUMNS = [
  { title: "FAILED" },
  { title: "TYPE", shrink: "first" },
  { title: "ON", shrink: "first" },
  { title: "AGO" },
  { title: "CODE" },
  { title: "MESSAGE", shrink: "last" },
] as const;

/** The lines of a frame, cut to the size of the terminal. Pure. */
export function renderFrame(view: View): string[] {
  return layoutFrame(view).lines;
}

/** The same, with what the rows are. Pure. */
export function layoutFrame(view: View): Frame {
  const { overview, columns, rows, colors, help, findings, selected } = view;
  const top = [
    title(view),
    ...(findings && overview ? findingLines(findings, columns, colors) : []),
    ...(overview ? [workersLine(overview, view), tasksLine(overview, view)] : []),
    ...trouble(view),
  ];
  const foot = help === "" ? [] : [{ text: colors.dim(cut(help, columns)) }];
  const head = top.map((text): Line => ({ text }));
  if (overview === undefined) return drawn(fill(head, foot, rows), selected, view);
  const sections = [queues, holds, workers, running, failures].map((section) =>
    section(overview, colors, columns),
  );
  const room = rows === undefined ? undefined : rows - top.length - foot.length;
  return drawn(fill([...head, ...body(sections, columns, room, colors)], foot, rows), selected, view);
}

/** The chosen row in reverse; where there are no colours the last line names it alone. */
function drawn(lines: readonly Line[], selected: Subject | undefined, { columns, colors }: View): Frame {
  return {
    lines: lines.map(({ text, subject }) =>
      isSame(subject, selected)
        ? colors.inverse(stripVTControlCharacters(text).trimEnd().padEnd(columns))
        : text,
    ),
    subjects: lines.flatMap(({ subject }) => subject ?? []),
  };
}

/** Puts the last line at the bottom of the screen and cuts what does not fit. */
function fill(lines: readonly Line[], foot: readonly Line[], rows: number | undefined): Line[] {
  if (rows === undefined) return [...lines, ...foot];
  const room = Math.max(0, rows - foot.length);
  const gap = Array.from({ length: Math.max(0, room - lines.length) }, () => ({ text: "" }));
  return [...lines.slice(0, room), ...gap, ...foot];
}

/** Sections one below the other, each with a blank line and its header. */
function body(
  sections: readonly Section[],
  columns: number,
  room: number | undefined,
  colors: Colors,
): Line[] {
  let full = sections.filter(({ rows }) => rows.length > 0);
  let empty = sections.filter(({ rows, none }) => rows.length === 0 && none !== "");
  // A section with rows needs a blank line, its header and a row; the empty ones share a blank line.
  const least = (): number => full.length * 3 + (empty.length > 0 ? empty.length + 1 : 0);
  // On a small screen the empty sections are omitted first, then the sections from the end.
  while (room !== undefined && least() > room && full.length + empty.length > 0) {
    if (empty.length > 0) empty = empty.slice(0, -1);
    else full = full.slice(0, -1);
  }
  const wanted = full.map(({ rows }) => rows.length);
  const given =
    room === undefined
      ? wanted.map((count) => Math.min(count, ROWS_UNBOUND))
      : shareRows(wanted, room - least() + full.length);
  const lines = full.flatMap((section, index) => sectionLines(section, given[index] ?? 0, columns, colors));
  return [
    ...lines,
    ...(empty.length > 0 ? [{ text: "" }] : []),
    ...empty.map(({ none }) => ({ text: colors.dim(cut(none, columns)) })),
  ];
}

function sectionLines(section: Section, count: number, columns: number, colors: Colors): Line[] {
  const [head = "", ...table] = tableLines(section.columns, section.rows.slice(0, count), columns, colors);
  const left = section.total - count;
  const more = `  +${left} more`;
  const titles =
    left <= 0 ? head : colors.dim(`${cut(stripVTControlCharacters(head), columns - more.length)}${more}`);
  const rows = table.map((text, index): Line => ({ text, subject: section.subjects?.[index] }));
  return [{ text: "" }, { text: titles }, ...rows];
}

function title({ overview, address, time, columns, colors }: View): string {
  const schedulers = overview === undefined ? "" : plural(overview.schedulerCount, "scheduler");
  const version = overview?.schedulerVersion ?? "";
  const left = ["muster top", address, schedulers, version].map(oneLine).filter(Boolean).join("  ");
  const text = cut(left, columns - time.length - 2);
  return `${colors.bold(text)}${" ".repeat(Math.max(2, columns - text.length - time.length))}${colors.dim(time)}`;
}

/** As many parts as fit into the width. */
function joined(parts: readonly Cell[], columns: number): string {
  let room = columns;
  return parts
    .map(({ text, paint = String }) => {
      const shown = cut(text, room);
      room -= [...shown].length;
      return room <= 0 && shown === "…" ? "" : paint(shown);
    })
    .join("");
}

function workersLine(
  { workerStates, slotCount, activeSlotCount }: Overview,
  { colors, columns }: View,
): string {
  const bad: ReadonlySet<WorkerState> = new Set([WorkerState.SUSPECT, WorkerState.REFUSED]);
  const counts = STATE_ORDER.flatMap((state) => {
    const count = workerStates.find((each) => each.state === state)?.workerCount ?? 0n;
    if (count === 0n) return [];
    return [
      { text: `${count} ${enumName(WorkerState, state)}`, paint: bad.has(state) ? colors.red : String },
    ];
  });
  return joined(
    [
      { text: "workers ", paint: colors.dim },
      ...(counts.length === 0 ? [{ text: "none", paint: colors.yellow }] : separated(counts)),
      ...(slotCount === 0n ? [] : [{ text: `   slots ${activeSlotCount}/${slotCount}` }]),
    ],
    columns,
  );
}

function tasksLine(overview: Overview, { colors, columns }: View): string {
  const { readyCount, scheduledCount, activeCount, stuckCount, recentFailureCount } = overview;
  const completed = overview.recentCompletedCount;
  return joined(
    [
      { text: "tasks   ", paint: colors.dim },
      ...separated([
        { text: `${readyCount} ready` },
        { text: `${scheduledCount} later` },
        { text: `${activeCount} active` },
        { text: `${stuckCount} stuck`, ...(stuckCount === 0n ? {} : { paint: colors.red }) },
      ]),
      ...(completed === 0n ? [] : [{ text: "   " }, { text: `${completed} completed in 5 min` }]),
      ...(recentFailureCount === 0n
        ? []
        : [{ text: "   " }, { text: `${recentFailureCount} failed within 1 h`, paint: colors.yellow }]),
    ],
    columns,
  );
}

function separated(parts: readonly Cell[]): Cell[] {
  return parts.flatMap((part, index) => (index === 0 ? [part] : [{ text: ", " }, part]));
}

function trouble({ failure, silentMs, overview, columns, colors }: View): string[] {
  if (failure === undefined) return [];
  const shown = overview === undefined ? "" : "; the rest is the last answer";
  return [
    colors.red(cut(`no answer for ${formatDuration(silentMs)}, retrying${shown}`, columns)),
    colors.red(cut(`  ${oneLine(failure)}`, columns)),
  ];
}

function running({ running: list, activeCount }: Overview, colors: Colors): Section {
  const row = ({ taskId, taskType, workerId, phase, age, stuck, ...report }: TaskOverview): Cell[] => {
    const share = progressCell(report);
    return [
      { text: taskId },
      { text: taskType },
      { text: workerId },
      { text: phase },
      { text: span(age) },
      stuck ? { text: ["stuck", share].filter(Boolean).join(" "), paint: colors.red } : { text: share },
    ];
  };
  return {
    columns: TASK_COLUMNS,
    rows: list.map(row),
    subjects: list.map(({ taskId }) => ({ kind: "task", id: taskId })),
    none: "nothing is running",
    total: Number(activeCount),
  };
}

/** Share and time left, with the age of the report when it is not of this moment. */
function progressCell({ progress, timeLeft, progressAge }: Partial<TaskOverview>): string {
  const share = progress === undefined ? "" : `${Math.floor(progress * 100)}%`;
  const facts = [share, leftText(timeLeft)].filter((part) => part !== "").join(" ");
  if (facts === "" || progressAge === undefined || durationMs(progressAge) < OLD_REPORT_MS) return facts;
  return `${facts}, ${span(progressAge)} old`;
}

function failures({ failures: list, recentFailureCount }: Overview, colors: Colors): Section {
  const row = ({ taskId, taskType, workerId, age, failureCode, failureMessage }: TaskOverview): Cell[] => [
    { text: taskId },
    { text: taskType },
    { text: workerId },
    { text: span(age) },
    { text: failureCode, paint: colors.yellow },
    { text: failureMessage },
  ];
  return {
    columns: FAILURE_COLUMNS,
    rows: list.map(row),
    subjects: list.map(({ taskId }) => ({ kind: "task", id: taskId })),
    none: "no task failed within the last hour",
    total: Number(recentFailureCount),
  };
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

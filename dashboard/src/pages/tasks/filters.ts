/** The filters of the list of tasks, as they are in the address. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { momentOf, parsePastTime } from "@muster/common/past-time";
import type { ListTasksRequestSchema } from "@muster/protocol";
import { quoted } from "../../format/shell.ts";
import { TASK_STATES } from "../../format/task-state.ts";

/** Texts by name; an absent one lets everything through. */
export interface TaskFilters {
  /** Names of states with commas between them. */
  readonly state?: string;
  readonly queue?: string;
  readonly type?: string;
  readonly worker?: string;
  /** How a task ended, or `held`. */
  readonly detail?: string;
  /** Tags with commas between them. */
  readonly tag?: string;
  /** Codes of the last failure with commas between them. */
  readonly code?: string;
  /** A part of the last failure's code or message. */
  readonly error?: string;
  /** Times, as ages (`2h`) or in ISO 8601. */
  readonly newer?: string;
  readonly older?: string;
  readonly endedAfter?: string;
  readonly endedBefore?: string;
}

const NAMES = [
  ...(["state", "queue", "type", "worker", "detail", "tag", "code", "error"] as const),
  ...(["newer", "older", "endedAfter", "endedBefore"] as const),
] as const;

/** Fields with a time, with what the request and the command call them. */
const TIMES = {
  newer: { field: "minCreateTime", flag: "newer-than" },
  older: { field: "maxCreateTime", flag: "older-than" },
  endedAfter: { field: "minFinishTime", flag: "ended-after" },
  endedBefore: { field: "maxFinishTime", flag: "ended-before" },
} as const;

const TIME_NAMES = Object.keys(TIMES) as (keyof typeof TIMES)[];

/** What is wrong with a time; undefined when nothing is. */
export function timeFault(text: string): string | undefined {
  try {
    parsePastTime(text);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The filters of an address; what it has besides is left out. */
export function readFilters(search: Readonly<Record<string, string | undefined>>): TaskFilters {
  return Object.fromEntries(
    NAMES.flatMap((name) => {
      const value = search[name]?.trim();
      return value ? [[name, value]] : [];
    }),
  );
}

/** Names of the states that are let through; empty for all. A name that no state has is left out. */
export function statesOf({ state = "" }: TaskFilters): string[] {
  return listOf(state).filter((name) => TASK_STATES.has(name));
}

/** The same filters with a state more, or without it. */
export function toggleState(filters: TaskFilters, name: string): TaskFilters {
  const before = statesOf(filters);
  const after = before.includes(name) ? before.filter((each) => each !== name) : [...before, name];
  const { state: _, ...rest } = filters;
  return after.length === 0 ? rest : { ...rest, state: after.join(",") };
}

/** A time that cannot be read lets everything through; its field says so. */
export function toRequest(
  filters: TaskFilters,
  now: number,
): MessageInitShape<typeof ListTasksRequestSchema> {
  const times = TIME_NAMES.flatMap((name) => {
    const text = filters[name];
    if (text === undefined || timeFault(text) !== undefined) return [];
    return [[TIMES[name].field, timestampFromMs(Math.round(momentOf(parsePastTime(text), now)))] as const];
  });
  return {
    ...Object.fromEntries(times),
    states: statesOf(filters).flatMap((name) => TASK_STATES.get(name) ?? []),
    queue: filters.queue ?? "",
    taskType: filters.type ?? "",
    workerId: filters.worker ?? "",
    detail: filters.detail ?? "",
    tags: listOf(filters.tag ?? ""),
    failureCodes: listOf(filters.code ?? ""),
    errorText: filters.error ?? "",
  };
}

/** The command that lists the same. */
export function toCommand(filters: TaskFilters): string {
  const flags = [
    ...statesOf(filters).map((state) => ["state", state] as const),
    ["queue", filters.queue] as const,
    ["type", filters.type] as const,
    ["worker", filters.worker] as const,
    ["detail", filters.detail] as const,
    ...listOf(filters.tag ?? "").map((tag) => ["tag", tag] as const),
    ...listOf(filters.code ?? "").map((code) => ["failure-code", code] as const),
    ["error", filters.error] as const,
    ...TIME_NAMES.map((name) => [TIMES[name].flag, filters[name]] as const),
  ];
  return [
    "npx muster tasks",
    ...flags.flatMap(([flag, value]) => (value ? [`--${flag} ${quoted(value)}`] : [])),
  ].join(" ");
}

function listOf(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

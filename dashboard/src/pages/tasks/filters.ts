/** The filters of the list of tasks, as they are in the address. */
import type { MessageInitShape } from "@bufbuild/protobuf";
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
  /** A failure code, or another detail of a state. */
  readonly detail?: string;
  /** Tags with commas between them. */
  readonly tag?: string;
}

const NAMES = ["state", "queue", "type", "worker", "detail", "tag"] as const;

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

export function toRequest(filters: TaskFilters): MessageInitShape<typeof ListTasksRequestSchema> {
  return {
    states: statesOf(filters).flatMap((name) => TASK_STATES.get(name) ?? []),
    queue: filters.queue ?? "",
    taskType: filters.type ?? "",
    workerId: filters.worker ?? "",
    detail: filters.detail ?? "",
    tags: listOf(filters.tag ?? ""),
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

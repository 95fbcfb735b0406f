/** Finds what a text of the search box may mean. */
import { stringifySearch } from "./search.ts";

/** Names that the scheduler knows. */
export interface Known {
  readonly workers: readonly string[];
  readonly queues: readonly string[];
  readonly types: readonly string[];
  readonly pools: readonly string[];
  readonly schedules: readonly string[];
  /** Of circuits, concurrency keys and rate limits. */
  readonly keys: readonly string[];
}

export const NOTHING_KNOWN: Known = {
  workers: [],
  queues: [],
  types: [],
  pools: [],
  schedules: [],
  keys: [],
};

/** Something with an address. */
export interface Found {
  readonly kind:
    | "Task"
    | "Worker"
    | "Queue"
    | "Tasks of the type"
    | "Pool"
    | "Schedule"
    | "Batch"
    | "Key"
    | "Page";
  readonly label: string;
  readonly to: string;
  readonly icon:
    | "tasks"
    | "workers"
    | "queues"
    | "overview"
    | "errors"
    | "pools"
    | "schedules"
    | "batches"
    | "limits";
}

/** Most entries of each kind. */
const MAX_OF_A_KIND = 8;

/** Pages by name. */
export const PAGES: readonly Found[] = [
  { kind: "Page", label: "Overview", to: "/", icon: "overview" },
  { kind: "Page", label: "Tasks", to: "/tasks", icon: "tasks" },
  { kind: "Page", label: "Errors", to: "/errors", icon: "errors" },
  { kind: "Page", label: "Queues", to: "/queues", icon: "queues" },
  { kind: "Page", label: "Workers", to: "/workers", icon: "workers" },
  { kind: "Page", label: "Pools", to: "/pools", icon: "pools" },
  { kind: "Page", label: "Schedules", to: "/schedules", icon: "schedules" },
  { kind: "Page", label: "Batches", to: "/batches", icon: "batches" },
  { kind: "Page", label: "Limits: circuits, locks, rates", to: "/limits", icon: "limits" },
];

/** Best first: names that begin with the text before those that contain it. */
export function find(
  text: string,
  { workers, queues, types, pools, schedules, keys }: Known,
  pages = PAGES,
): Found[] {
  const wanted = text.trim();
  const batch = /^b-\d{1,19}$/i.exec(wanted)?.[0].toLowerCase();
  const task = /^(?:t-)?(\d{1,19})(?:\.\d+)?$/i.exec(wanted)?.[1];
  const of = (
    kind: Found["kind"],
    icon: Found["icon"],
    names: readonly string[],
    address: (name: string) => string,
  ): Found[] =>
    (wanted === "" ? [] : matching(wanted, names)).map((label) => ({
      kind,
      icon,
      label,
      to: address(label),
    }));
  return [
    ...(task === undefined
      ? []
      : [{ kind: "Task", label: `t-${task}`, to: `/tasks/t-${task}`, icon: "tasks" } as const]),
    ...(batch === undefined
      ? []
      : [{ kind: "Batch", label: batch, to: `/batches/${batch}`, icon: "batches" } as const]),
    ...pages.filter(({ label }) => place(wanted, label) >= 0),
    ...of("Worker", "workers", workers, (id) => `/workers/${encodeURIComponent(id)}`),
    ...of("Queue", "queues", queues, (name) => `/queues/${encodeURIComponent(name)}`),
    ...of("Pool", "pools", pools, (name) => `/pools/${encodeURIComponent(name)}`),
    ...of("Schedule", "schedules", schedules, (name) => `/schedules/${encodeURIComponent(name)}`),
    ...of("Key", "limits", keys, (key) => `/limits${stringifySearch({ key })}`),
    ...of("Tasks of the type", "tasks", types, (type) => `/tasks${stringifySearch({ type })}`),
  ];
}

function matching(wanted: string, names: readonly string[]): string[] {
  return names
    .map((name) => ({ name, at: place(wanted, name) }))
    .filter(({ at }) => at >= 0)
    .sort((a, b) => a.at - b.at || a.name.localeCompare(b.name))
    .slice(0, MAX_OF_A_KIND)
    .map(({ name }) => name);
}

function place(wanted: string, name: string): number {
  return name.toLowerCase().indexOf(wanted.toLowerCase());
}

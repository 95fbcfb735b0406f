/** The lines `open` and `hello`: who the worker is, and what it runs. */
import { type Fields, isObject } from "./fields.ts";

/** Who speaks. */
export interface WorkerPeer {
  readonly version: number;
  readonly language: string;
  readonly runtime: string;
  readonly sdk: string;
  readonly sdkVersion: string;
}

/** A task type of a worker. */
export interface HelloType {
  readonly name: string;
  /** Undefined: as many as the worker has slots. */
  readonly concurrency: number | undefined;
  /** Thresholds of its phases in seconds. */
  readonly warnAfterS: Readonly<Record<string, number>>;
}

/** How the link learns that the worker's loop and interpreter turn. */
export type TickSource = "none" | "file" | "lines";

/** What a worker runs; undefined where it leaves the default. */
export interface HelloLine extends WorkerPeer {
  readonly types: readonly HelloType[];
  readonly slots: number | undefined;
  readonly prefetch: number | undefined;
  readonly queues: readonly string[] | undefined;
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly capacities: Readonly<Record<string, number>> | undefined;
  readonly resources: readonly string[] | undefined;
  readonly loadable: readonly string[];
  readonly pool: string | undefined;
  readonly buildId: string | undefined;
  readonly ready: boolean;
  readonly ticks: TickSource;
  readonly killable: "none" | "process";
  readonly inlineBytes: number;
}

const MAX_TYPES = 1_000;
const MAX_SLOTS = 10_000;

/** The largest payload that a line holds by default, in bytes. */
const DEFAULT_INLINE = 64 * 1024;

/** The fields that `open` and `hello` share. */
export function readPeer(fields: Fields): WorkerPeer {
  return {
    version: fields.need("version", fields.integer("version", 0, 1_000_000), 1),
    language: fields.text("language", 64) ?? "",
    runtime: fields.text("runtime", 64) ?? "",
    sdk: fields.text("sdk", 64) ?? "",
    sdkVersion: fields.text("sdk_version", 64) ?? "",
  };
}

/** The fields of `hello`. What the options of a worker check as well (labels, names) is left to them. */
export function readHello(fields: Fields): HelloLine {
  return {
    ...readPeer(fields),
    types: typesOf(fields),
    slots: fields.integer("slots", 1, MAX_SLOTS),
    prefetch: fields.integer("prefetch", 0, MAX_SLOTS),
    queues: fields.names("queues", 1_000),
    labels: fields.record<string>("labels", "string", 64),
    capacities: fields.record<number>("capacities", "number", 16),
    resources: fields.names("resources", 1_000),
    loadable: fields.names("loadable", 1_000) ?? [],
    pool: fields.text("pool", 256),
    buildId: fields.name("build_id", 128),
    ready: fields.flag("ready"),
    ticks: fields.oneOf("ticks", ["none", "file", "lines"]) ?? "none",
    killable: fields.oneOf("killable", ["none", "process"]) ?? "none",
    inlineBytes: fields.integer("inline_bytes", 0, 700_000) ?? DEFAULT_INLINE,
  };
}

function typesOf(fields: Fields): HelloType[] {
  const given = fields.need("types", fields.raw("types"), []);
  if (!Array.isArray(given) || given.length === 0 || given.length > MAX_TYPES) {
    fields.faults.push(`types: is not a list of 1 to ${MAX_TYPES} task types`);
    return [];
  }
  return given.flatMap((each: unknown, index) => {
    const type = typeof each === "string" ? { name: each } : each;
    const {
      name,
      concurrency = null,
      warn_after_s: warnAfterS = null,
    }: Record<string, unknown> = isObject(type) ? { ...type } : {};
    const fault = (what: string): [] => {
      fields.faults.push(`types[${index}]${what}`);
      return [];
    };
    if (typeof name !== "string") return fault(": has no name");
    if (concurrency !== null && !isCount(concurrency))
      return fault(`.concurrency: is not an integer from 1 to ${MAX_SLOTS}`);
    if (warnAfterS !== null && !isSeconds(warnAfterS))
      return fault(".warn_after_s: is not an object of phase names and seconds");
    return [{ name, concurrency: concurrency ?? undefined, warnAfterS: warnAfterS ?? {} }];
  });
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= MAX_SLOTS;
}

function isSeconds(value: unknown): value is Record<string, number> {
  return (
    isObject(value) &&
    Object.keys(value).length <= 100 &&
    Object.values(value).every((each) => typeof each === "number" && each >= 0)
  );
}

/** Finds the fields of a message. */
import { create, type DescField, type DescMessage, type DescMethod, ScalarType } from "@bufbuild/protobuf";
import { FleetService, PoolService, ScheduleService, TaskService, WorkerService } from "@muster/protocol";

/** What a leaf holds. */
export type LeafKind = "string" | "int64" | "float" | "Duration" | "Timestamp" | "other";

/** A place in a message where a value stands, found by its descriptor. */
export interface Leaf {
  /** Path in a request, for example `tasks[].retry_policy.exponential.factor`; `{}` is a map's value, `{key}` its key. */
  readonly path: string;
  readonly kind: LeafKind;
  /** The base with this value at this place, and nothing else added but what is around it. */
  at(base: object, value: unknown): Record<string, unknown>;
}

/** Every call but the streams of both sides. */
export const CALLS: readonly DescMethod[] = [
  TaskService,
  FleetService,
  ScheduleService,
  PoolService,
  WorkerService,
]
  .flatMap((service): readonly DescMethod[] => service.methods)
  .filter(({ methodKind }) => methodKind !== "bidi_streaming");

/** A lawful task: what is wrong besides would be refused first. */
const TASK = { taskType: "echo", retryPolicy: { exponential: { initialDelay: { seconds: 1n }, factor: 2 } } };

/** A lawful element of the list of rate limits. */
const RATE_LIMIT = { key: "limited-by-a-test", limit: 1, period: { seconds: 1n } };

/** Lawful elements of lists, by their message. */
const ELEMENTS: Readonly<Record<string, object>> = {
  RateLimit: RATE_LIMIT,
  ScheduledMinimum: { cron: "0 8 * * *", duration: { seconds: 3_600n }, minWorkers: 1 },
};

/** A lawful schedule, whose first tick no test sees. */
const SCHEDULE = {
  name: "schedule-of-a-test",
  task: TASK,
  timing: { case: "every", value: { seconds: 86_400n } },
};

/** A lawful pool, for which no launcher runs. */
const POOL = {
  name: "pool-of-a-test",
  offer: { taskTypes: ["pooled-by-a-test"] },
  maxWorkers: 1,
  launchTemplate: { command: ["true"], driver: { case: "process", value: {} } },
};

/** What a request needs so that one field of it decides. */
export function lawful(message: DescMessage): object {
  switch (message.name) {
    case "SubmitTasksRequest":
      return { tasks: [TASK] };
    case "WatchTaskLogsRequest":
      // Of none that there is: its stream would not end.
      return { taskId: "t-4000000000" };
    case "CreateBatchRequest":
      return { title: "a test", completion: TASK };
    case "SubmitStreamRequest":
      return { requestId: 1n, submit: { tasks: [TASK] } };
    case "ReportLaunchRequest":
    case "ReportExitRequest":
      return { launchId: "launch-of-a-test", workerId: "launched-by-a-test" };
    case "LimitQueueRequest":
      return { queue: "limited-by-a-test", reason: "a test" };
    case "OpenCircuitRequest":
    case "ResetCircuitRequest":
      return { key: "circuit-of-a-test", reason: "a test" };
    case "SetQueueWeightRequest":
      return { queue: "weighted-by-a-test", weight: 1, reason: "a test" };
    case "ConfigureQueueRequest":
      return {
        queue: "configured-by-a-test",
        settings: { exponential: { initialDelay: { seconds: 1n } } },
        reason: "a test",
      };
    case "SetFairnessWeightRequest":
      return { key: "weighted-by-a-test", weight: 1, reason: "a test" };
    case "SetConcurrencyLimitRequest":
      return { key: "limited-by-a-test", limit: 1, reason: "a test" };
    case "SetRateLimitRequest":
      return { rateLimit: RATE_LIMIT, reason: "a test" };
    case "RateLimitQueueRequest":
      return { queue: "limited-by-a-test", rate: { limit: 1, period: { seconds: 1n } }, reason: "a test" };
    case "SetScheduleRequest":
      return { schedule: SCHEDULE, reason: "a test" };
    case "ApplyPoolRequest":
      return { spec: POOL, reason: "a test" };
    case "PlanPoolRequest":
      return { spec: POOL };
    case "PauseKeyRequest":
      return { key: "limited-by-a-test", duration: { seconds: 1n }, reason: "a test" };
    default:
      return {};
  }
}

type Put = (base: object, value: unknown) => Record<string, unknown>;

/** Every place in a message, through lists, maps and one-ofs. */
export function leaves(schema: DescMessage): Leaf[] {
  return walk(schema, "", (_, value) => Object(value), []);
}

function walk(schema: DescMessage, prefix: string, around: Put, above: readonly string[]): Leaf[] {
  // A message inside itself holds the same places again.
  if (above.includes(schema.typeName)) return [];
  return schema.fields.flatMap((field) => {
    const path = prefix === "" ? field.name : `${prefix}.${field.name}`;
    const put: Put = (base, value) => around(base, { ...inner(base, prefix), ...placed(field, value) });
    return ofField(field, path, put, [...above, schema.typeName]);
  });
}

function ofField(field: DescField, path: string, put: Put, above: readonly string[]): Leaf[] {
  switch (field.fieldKind) {
    case "list": {
      const needed = ELEMENTS[field.message?.name ?? ""];
      const list: Put = (base, value) => put(base, [needed ? { ...needed, ...Object(value) } : value]);
      return one(
        field.message,
        field.listKind === "scalar" ? field.scalar : undefined,
        `${path}[]`,
        list,
        above,
      );
    }
    case "map": {
      const entry: Put = (base, value) => put(base, { key: value });
      const keys: Leaf[] =
        field.mapKey === ScalarType.STRING
          ? [
              {
                path: `${path}{key}`,
                kind: "string",
                at: (base, key) => put(base, { [String(key)]: sample(field) }),
              },
            ]
          : [];
      const values = one(
        field.message,
        field.mapKind === "scalar" ? field.scalar : undefined,
        `${path}{}`,
        entry,
        above,
      );
      return [...keys, ...values];
    }
    default:
      return one(field.message, field.fieldKind === "scalar" ? field.scalar : undefined, path, put, above);
  }
}

function one(
  message: DescMessage | undefined,
  scalar: ScalarType | undefined,
  path: string,
  put: Put,
  above: readonly string[],
): Leaf[] {
  const wellKnown = message?.typeName.startsWith("google.protobuf.");
  if (message && !wellKnown) return walk(message, path, put, above);
  return [{ path, kind: message ? wellKnownKind(message) : scalarKind(scalar), at: put }];
}

function wellKnownKind({ name }: DescMessage): LeafKind {
  return name === "Duration" || name === "Timestamp" ? name : "other";
}

function scalarKind(scalar: ScalarType | undefined): LeafKind {
  switch (scalar) {
    case ScalarType.STRING:
      return "string";
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return "int64";
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return "float";
    default:
      return "other";
  }
}

function placed(field: DescField, value: unknown): object {
  return field.oneof
    ? { [field.oneof.localName]: { case: field.localName, value } }
    : { [field.localName]: value };
}

/** What the base has at the message around a place, so that its other fields stay. */
function inner(base: object, prefix: string): object {
  let at: unknown = base;
  for (const step of prefix === "" ? [] : prefix.split(".")) {
    const name = camel(step.replace(/\[\]|\{\}$/, ""));
    const next: unknown = Object(at)[name];
    at = step.endsWith("[]") ? Object(next)[0] : step.endsWith("{}") ? Object(next).key : next;
  }
  return Object(at);
}

function camel(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** Some value for a map whose key is looked at. */
function sample(field: DescField & { fieldKind: "map" }): unknown {
  if (field.message) return create(field.message, {});
  if (field.mapKind === "enum") return 0;
  switch (scalarKind(field.mapKind === "scalar" ? field.scalar : undefined)) {
    case "string":
      return "value";
    case "float":
      return 1;
    default:
      return 1n;
  }
}

/** Reads the query of a request: parameters with the names and forms of the flags of `muster submit`. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import { closestNames } from "@muster/common/text/closest-names";
import { quoted } from "@muster/common/text/text";
import { type TaskSpecSchema, UniqueConflictPolicy } from "@muster/protocol";
import { badRequest } from "./problem.ts";

/** Longest wait for a task's end, milliseconds: a caller that waits costs a connection. */
export const MAX_WAIT_MS = 600_000;

/** Longest query, characters: a unique key has at most 512 bytes. */
const MAX_QUERY = 8_192;

type Spec = MessageInitShape<typeof TaskSpecSchema>;

/** The parameters of a submit, each with the field of a task that it sets. */
const FIELDS = {
  queue: "queue",
  priority: "priority",
  delay: "delay",
  "unique-key": "unique_key",
  "on-conflict": "unique_rule.on_conflict",
  "max-retries": "retry_policy.max_retry_count",
  "run-timeout": "timeouts.run",
  "queue-timeout": "timeouts.queue_wait",
  "fairness-key": "fairness.key",
  tag: "tags",
} as const;

const ON_CONFLICT: Readonly<Record<string, UniqueConflictPolicy>> = {
  return: UniqueConflictPolicy.RETURN_HOLDER,
  replace: UniqueConflictPolicy.REPLACE,
  refuse: UniqueConflictPolicy.REFUSE,
};

/** The parameters of each kind of request. */
export const PARAMETERS = {
  submit: [...Object.keys(FIELDS), "wait"],
  result: ["wait"],
  cancel: ["reason"],
  read: [],
  payload: [],
  description: [],
} as const satisfies Readonly<Record<string, readonly string[]>>;

const NAMES: ReadonlyMap<string, string> = new Map([
  ...Object.entries(FIELDS).map(([name, field]) => [field, name] as const),
  ["task_type", "the task type"],
  ["payload", "the body"],
]);

/** The parameter that sets a field which was refused. */
export function parameterOf(field: string): string {
  const name = field.replace(/^tasks\[0\]\./, "");
  return NAMES.get(name) ?? name;
}

/** The query of a request; every parameter has one value, `tag` any number. */
export class Query {
  readonly #values: URLSearchParams;

  /** @throws Problem for a parameter that the kind of request does not take, or that is there twice. */
  constructor(url: string, kind: keyof typeof PARAMETERS) {
    const start = url.indexOf("?");
    const text = start < 0 ? "" : url.slice(start + 1);
    if (text.length > MAX_QUERY)
      throw badRequest(`the query has ${text.length} characters; at most ${MAX_QUERY} are allowed`);
    this.#values = new URLSearchParams(text);
    const known: readonly string[] = PARAMETERS[kind];
    const seen = new Set<string>();
    for (const name of this.#values.keys()) {
      if (!known.includes(name)) throw unknownParameter(name, known);
      if (seen.has(name) && name !== "tag") throw badRequest(`the parameter ${name} is there twice`);
      seen.add(name);
    }
  }

  text(name: string): string | undefined {
    return this.#values.get(name) ?? undefined;
  }

  /** @throws Problem for what is no duration. */
  durationMs(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    try {
      return parseDuration(text);
    } catch {
      throw badRequest(
        `the parameter ${name} is ${quoted(text, 40)}; send a duration with its unit, for example 30s, 5m or 1h30m`,
      );
    }
  }

  /** How long to wait for the end of the task; undefined for not at all. */
  waitMs(): number | undefined {
    const waitMs = this.durationMs("wait");
    if (waitMs !== undefined && waitMs > MAX_WAIT_MS)
      throw badRequest(
        `the parameter wait is ${quoted(this.text("wait") ?? "", 40)}; at most ${MAX_WAIT_MS / 60_000}m are allowed: ask again with GET /v1/tasks/ID/result?wait=...`,
      );
    return waitMs;
  }

  /** @throws Problem for a value that has not the form of its flag. */
  spec(): Spec {
    const delayMs = this.durationMs("delay");
    const runMs = this.durationMs("run-timeout");
    const queueWaitMs = this.durationMs("queue-timeout");
    const maxRetryCount = this.#integer("max-retries");
    const onConflict = this.#onConflict();
    return {
      queue: this.text("queue") ?? "",
      priority: this.#integer("priority") ?? 0,
      uniqueKey: this.text("unique-key") ?? "",
      tags: this.#values.getAll("tag"),
      ...(delayMs === undefined ? {} : { schedule: { case: "delay", value: durationFromMs(delayMs) } }),
      ...(onConflict === undefined ? {} : { uniqueRule: { onConflict } }),
      ...(maxRetryCount === undefined ? {} : { retryPolicy: { maxRetryCount } }),
      ...(this.text("fairness-key") === undefined
        ? {}
        : { fairness: { key: this.text("fairness-key") ?? "" } }),
      ...(runMs === undefined && queueWaitMs === undefined
        ? {}
        : {
            timeouts: {
              ...(runMs === undefined ? {} : { run: durationFromMs(runMs) }),
              ...(queueWaitMs === undefined ? {} : { queueWait: durationFromMs(queueWaitMs) }),
            },
          }),
    };
  }

  #integer(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    if (!/^-?\d{1,9}$/.test(text))
      throw badRequest(`the parameter ${name} is ${quoted(text, 40)}; send a whole number`);
    return Number(text);
  }

  #onConflict(): UniqueConflictPolicy | undefined {
    const text = this.text("on-conflict");
    if (text === undefined) return undefined;
    if (Object.hasOwn(ON_CONFLICT, text)) return ON_CONFLICT[text];
    throw badRequest(
      `the parameter on-conflict is ${quoted(text, 40)}; send ${Object.keys(ON_CONFLICT).join(", ")}`,
    );
  }
}

function unknownParameter(name: string, known: readonly string[]) {
  const [near] = closestNames(name.slice(0, 64), known);
  const there = known.length === 0 ? "there are none here" : `there are ${known.join(", ")}`;
  return badRequest(
    `there is no parameter ${quoted(name)}${near === undefined ? `; ${there}` : `; did you mean ${near}?`}`,
  );
}

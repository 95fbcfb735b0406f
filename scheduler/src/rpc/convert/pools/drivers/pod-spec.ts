/** Checks the parts of a pod's spec that an operator merges. The rest is for the cluster, which refuses what it does not know. */
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { quoted } from "@muster/common/text/text";

const MAX_CHARACTERS = 65_536;
const MAX_DEPTH = 20;

/** Fields that decide whether a launch is one process, and why they are not allowed. */
const REFUSED: Readonly<Record<string, string>> = {
  restartPolicy: "a launch is one process; the pool starts another one when it ends",
  activeDeadlineSeconds:
    "use startup_timeout, or a timeout of the tasks: a worker serves until it is drained",
  ephemeralContainers: "they cannot be part of a new pod",
};

/** Variables of the worker that the launcher sets. */
const OWN_VARIABLES: ReadonlySet<string> = new Set(["MUSTER_LAUNCH_ID", "MUSTER_POOL", "WORKER_ID"]);

/** Reports what is wrong with it. */
export function checkPodSpec(spec: JsonObject, report: (description: string) => void): void {
  if (depthOf(spec) > MAX_DEPTH) return report(`is nested deeper than ${MAX_DEPTH}`);
  const text = JSON.stringify(spec);
  if (text.length > MAX_CHARACTERS)
    report(`has ${text.length} characters as JSON; at most ${MAX_CHARACTERS} are allowed`);
  if (text.includes("\\u0000") || !text.isWellFormed()) report("holds a NUL or half of a character");
  for (const [field, why] of Object.entries(REFUSED))
    if (Object.hasOwn(spec, field)) report(`must not have ${field}: ${why}`);
  const { containers } = spec;
  if (containers !== undefined && !isList(containers)) report("containers must be a list");
  for (const list of ["containers", "initContainers", "volumes"]) {
    const value = spec[list];
    if (!isList(value)) continue;
    for (const [index, entry] of value.entries())
      if (!isObject(entry) || typeof entry.name !== "string" || entry.name === "")
        report(`${list}[${index}] has no name: named entries are merged by it`);
  }
  const worker = isList(containers)
    ? containers.filter(isObject).find(({ name }) => name === "worker")
    : undefined;
  for (const variable of isList(worker?.env) ? worker.env.filter(isObject) : []) {
    if (typeof variable.name === "string" && OWN_VARIABLES.has(variable.name))
      report(`sets the variable ${quoted(variable.name, 100)} of the worker, which the launcher sets`);
  }
}

function depthOf(value: JsonValue): number {
  let depth = 0;
  let level: JsonValue[] = [value];
  // By level: a value that is nested deeper than the stack allows is counted, too.
  while (level.length > 0 && depth <= MAX_DEPTH) {
    depth++;
    level = level.flatMap((each) => (isList(each) ? each : isObject(each) ? Object.values(each) : []));
  }
  return depth;
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isList(value: JsonValue | undefined): value is JsonValue[] {
  return Array.isArray(value);
}

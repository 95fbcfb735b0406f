/** What the metadata of a KEDA trigger asks for. */
import { NAME, NAME_RULE } from "@muster/common/text/name-forms";
import { quoted } from "@muster/common/text/text";
import type { Violation } from "../../domain/errors.ts";
import { POOL_NAME, POOL_NAME_RULE } from "../../domain/pools/pool.ts";
import { invalidRequest } from "../../domain/refusals.ts";

/** Whose work decides how many workers KEDA starts. */
export type ScalerTarget =
  | { readonly kind: "pool"; readonly pool: string }
  | {
      readonly kind: "tasks";
      /** Undefined for every type. */
      readonly type: string | undefined;
      /** Undefined for every queue. */
      readonly queue: string | undefined;
      readonly tasksPerWorker: number;
    };

/** The key whose value is the token: KEDA reads it from the variables of the container that it scales. */
export const TOKEN_KEY = "tokenFromEnv";

/** Keys that KEDA reads itself and passes on. */
const OF_KEDA = [
  ...["scalerAddress", "enableTLS", "unsafeSsl", "tlsCertFile"],
  ...["caCert", "tlsClientCert", "tlsClientKey"],
];
const OF_SCALER = ["pool", "taskType", "queue", "tasksPerWorker", TOKEN_KEY];
const KNOWN: ReadonlySet<string> = new Set([...OF_KEDA, ...OF_SCALER]);

const MAX_KEYS = 50;
const MAX_TASKS = 1_000_000;

/**
 * The target of a trigger.
 *
 * @throws Refusal `INVALID_REQUEST`, which names every wrong key.
 */
export function toScalerTarget(metadata: Readonly<Record<string, string>>): ScalerTarget {
  const violations: Violation[] = [];
  const report = (key: string, description: string) =>
    violations.push({ field: `scalerMetadata.${key}`, description });
  const keys = Object.keys(metadata);
  if (keys.length > MAX_KEYS)
    throw invalidRequest({
      field: "scalerMetadata",
      description: `has ${keys.length} keys; at most ${MAX_KEYS} are allowed`,
    });
  for (const key of keys) {
    if (!KNOWN.has(key)) report(quoted(key, 100), `is not known; known are ${OF_SCALER.join(", ")}`);
  }
  const { pool, taskType: type, queue, tasksPerWorker } = metadata;
  if (pool !== undefined) {
    if (!POOL_NAME.test(pool))
      report("pool", `${quoted(pool, 100)} is no name of a pool: it ${POOL_NAME_RULE}`);
    for (const key of ["taskType", "queue"] as const) {
      if (metadata[key] !== undefined)
        report(key, "cannot be given with pool: the pool's offer says which tasks count");
    }
    if (tasksPerWorker !== undefined)
      report("tasksPerWorker", "cannot be given with pool: the slots of its offer decide");
  } else if (type === undefined && queue === undefined) {
    report("pool", "is missing: give pool, taskType or queue");
  }
  if (type !== undefined && !NAME.test(type)) report("taskType", `${quoted(type, 100)} ${NAME_RULE}`);
  if (queue !== undefined && !NAME.test(queue)) report("queue", `${quoted(queue, 100)} ${NAME_RULE}`);
  const perWorker = tasksPerWorker === undefined ? 1 : Number(tasksPerWorker);
  if (tasksPerWorker !== undefined && !/^[1-9][0-9]*$/.test(tasksPerWorker))
    report("tasksPerWorker", `${quoted(tasksPerWorker, 100)} is no whole number from 1 to ${MAX_TASKS}`);
  else if (perWorker > MAX_TASKS) report("tasksPerWorker", `${perWorker} is above ${MAX_TASKS}`);
  const [first, ...further] = violations;
  if (first) throw invalidRequest(first, ...further);
  return pool === undefined
    ? { kind: "tasks", type, queue, tasksPerWorker: perWorker }
    : { kind: "pool", pool };
}

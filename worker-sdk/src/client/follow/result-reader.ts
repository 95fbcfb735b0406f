/** Which parts make the result of an ended task: the codecs of payloads, a definition, or neither. */
import type { Task } from "@muster/protocol";
import type { ContractParts } from "../../contract/task-contract.ts";
import type { ClientPayloads } from "../submit/client-payloads.ts";
import { resultOf } from "../submit/contract-calls.ts";
import { outputOf } from "./task-result.ts";

/** Undefined where a handle reads the result itself. */
export function resultReader(
  task: ContractParts | undefined,
  payloads: ClientPayloads | undefined,
): ((ended: Task) => Promise<unknown>) | undefined {
  if (payloads === undefined) return task && ((ended) => resultOf(task, ended));
  return async (ended) => {
    const decoded = await payloads.decodeOutput(ended);
    return task === undefined ? outputOf(decoded) : resultOf(task, decoded);
  };
}

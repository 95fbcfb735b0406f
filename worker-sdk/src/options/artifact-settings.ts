/** Checks the option `artifacts`, and stores in other options. */
import { FolderStore } from "../storage/folder-store.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import type { Environment } from "./connection-options.ts";

/** Methods that a store must have. */
const STORE_METHODS = ["uriOf", "keyOf", "find", "read", "put", "delete", "list"] as const;

/** Reads the option `artifacts`, else `WORKER_ARTIFACT_DIR`; undefined without either. */
export function resolveArtifacts(
  option: ObjectStore | undefined,
  env: Environment,
  faults: string[],
): ObjectStore | undefined {
  if (option !== undefined) return checkedStore("artifacts", option, faults);
  const dir = env.WORKER_ARTIFACT_DIR?.trim();
  return dir ? new FolderStore({ dir }) : undefined;
}

/** A store of an option; what it lacks is added to `faults`. */
export function checkedStore(option: string, store: ObjectStore, faults: string[]): ObjectStore {
  const lacking = STORE_METHODS.filter((method) => typeof Object(store)[method] !== "function");
  if (lacking.length > 0)
    faults.push(
      `option ${option}: is not a store; it lacks ${lacking.join(", ")}. Give a FolderStore or an S3Store`,
    );
  return store;
}

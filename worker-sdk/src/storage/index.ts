// First: nothing else of this package is evaluated on a Node that lacks what it uses.
import "../node-version.ts";

export type { Artifact } from "../artifacts/artifact.ts";
export { readArtifact } from "../artifacts/read-artifact.ts";
export { OptionsError } from "../options/options-error.ts";
export { FolderStore, type FolderStoreOptions } from "./folder-store.ts";
export {
  type ObjectSource,
  type ObjectStore,
  type PutOptions,
  type StoreCallOptions,
  type StoredObject,
  StoreError,
} from "./object-store.ts";

/**
 * Stores of artifacts and payloads, and what encodes payloads.
 *
 * @module @muster/worker/storage
 */

// First: nothing else of this package is evaluated on a Node that lacks what it uses.
import "../node-version.ts";

export type { Artifact } from "../artifacts/artifact.ts";
export { readArtifact } from "../artifacts/read-artifact.ts";
export { OptionsError } from "../options/options-error.ts";
export { type CleanPayloadsOptions, cleanPayloads } from "../payloads/clean-payloads.ts";
export type { Encoded, PayloadCodec, PayloadContext } from "../payloads/codec.ts";
export { type CompressionOptions, compression } from "../payloads/compression.ts";
export { type EncryptionOptions, encryption } from "../payloads/encryption.ts";
export {
  type AppliedCodec,
  type ClaimedObject,
  ENCODED_TYPE,
  type Envelope,
  type EnvelopeHeader,
  readEnvelope,
} from "../payloads/envelope.ts";
export { PayloadError, type PayloadErrorCode } from "../payloads/payload-error.ts";
export type { ClaimCheckOptions, PayloadOptions } from "../payloads/payload-options.ts";
export { FolderStore, type FolderStoreOptions } from "./folder-store.ts";
export {
  type ObjectSource,
  type ObjectStore,
  type PutOptions,
  type StoreCallOptions,
  type StoredObject,
  StoreError,
} from "./object-store.ts";

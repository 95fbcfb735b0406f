/**
 * A store in a bucket of S3. It needs the package aws4fetch.
 *
 * @module @muster/worker/s3
 */

// First: nothing else of this package is evaluated on a Node that lacks what it uses.
import "../node-version.ts";

export type { S3Credentials, S3StoreOptions } from "../options/s3-options.ts";
export { S3Store } from "./s3-store.ts";

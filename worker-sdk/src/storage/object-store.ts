/** What artifacts and large payloads need of a store. */

/** An object that a store has. */
export interface StoredObject {
  /** Key of the object in the store. */
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** When it was put. */
  readonly modifiedTime: Date;
  /** SHA-256 in hexadecimal digits; unset where the store does not keep it. */
  readonly sha256?: string;
}

/** Options of every call to a store. */
export interface StoreCallOptions {
  /** Aborts the call, which then throws the signal's reason. @default none */
  readonly signal?: AbortSignal;
}

/** What is put into a store: bytes, or a file, which the store may move away. */
export type ObjectSource =
  | { readonly bytes: Uint8Array }
  | {
      /** Path of a regular file. */
      readonly file: string;
    };

/** Options of `put`. */
export interface PutOptions extends StoreCallOptions {
  /** Media type. @default `application/octet-stream` */
  readonly contentType?: string;
  /** SHA-256 of the content in hexadecimal digits. @default not kept */
  readonly sha256?: string;
  /** True: an object that is there already stays as it is. @default false: it is replaced */
  readonly ifAbsent?: boolean;
}

/**
 * A store of objects by key, for artifacts and for payloads that are too large for the database. `FolderStore` and `S3Store`
 * implement it. Keys are relative paths with "/" between their parts; no part is empty or begins with a dot.
 *
 * @example
 * ```ts
 * const store: ObjectStore = new FolderStore({ dir: "/srv/results" });
 * await store.put("reports/1.txt", { bytes: Buffer.from("done") });
 * ```
 */
export interface ObjectStore {
  /** Where an object of this key is: `file:///srv/results/a.png`, `s3://bucket/a.png`. */
  uriOf(key: string): string;
  /** The key of a URI; undefined when it is not one of this store. */
  keyOf(uri: string): string | undefined;
  /** The object without its content; undefined when there is none. */
  find(key: string, options?: StoreCallOptions): Promise<StoredObject | undefined>;
  /**
   * The content, in pieces.
   *
   * @throws StoreError `OBJECT_MISSING` when there is none.
   */
  read(key: string, options?: StoreCallOptions): Promise<AsyncIterable<Uint8Array>>;
  /**
   * Stores an object: readers see it whole, the one before it, or none, also after a crash. It is durable when this resolves.
   *
   * @returns False when `ifAbsent` is set and there was one.
   */
  put(key: string, source: ObjectSource, options?: PutOptions): Promise<boolean>;
  /** Removes an object; harmless when there is none. */
  delete(key: string, options?: StoreCallOptions): Promise<void>;
  /** The objects whose keys begin with the prefix, which ends with "/", in no certain order. */
  list(prefix: string, options?: StoreCallOptions): AsyncIterable<StoredObject>;
  /** Folder for files that are put later: on the file system of the store. Unset: the scratch folder of the attempt. */
  stagingFolder?(): Promise<string>;
  /** Removes what interrupted calls of `put` left, when it is older, and returns how many it removed. */
  removeUnfinished?(olderThanS: number, options?: StoreCallOptions): Promise<number>;
}

/**
 * A store could not do what it was asked for. What a file system throws (`ENOSPC`, `EACCES`, ...) is not converted.
 *
 * @example
 * ```ts
 * if (error instanceof StoreError && error.code === "OBJECT_MISSING") return undefined;
 * ```
 */
export class StoreError extends Error {
  override readonly name = "StoreError";
  /**
   * `OBJECT_MISSING`, `OBJECT_KEY_REFUSED`, `OBJECT_CORRUPT`, or what the service answered in the form of a code, for example
   * `S3_ACCESS_DENIED`.
   */
  readonly code: string;

  constructor(code: string, message: string, options: ErrorOptions = {}) {
    super(message, options);
    this.code = code;
  }
}

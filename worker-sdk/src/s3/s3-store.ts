/** A store in a bucket of an S3 service. */
import { open } from "node:fs/promises";
import { wallClock } from "../clock.ts";
import { compileS3Options, type S3Settings, type S3StoreOptions } from "../options/s3-options.ts";
import { checkedKey, missing } from "../storage/key-checks.ts";
import {
  type ObjectSource,
  type ObjectStore,
  type PutOptions,
  type StoreCallOptions,
  type StoredObject,
  StoreError,
} from "../storage/object-store.ts";
import { abort, uploadInParts } from "./multipart.ts";
import { S3Requests } from "./s3-requests.ts";
import { allOf, firstOf } from "./xml.ts";

/** Tries to go on with a download that broke. */
const MAX_RESUMES = 5;

/** Header that has the SHA-256 of an object. */
const SHA256 = "x-amz-meta-sha256";

/**
 * Stores objects in a bucket of Amazon S3, or of a service with its API. It needs the package `aws4fetch`
 * (`npm install aws4fetch`), which signs requests.
 *
 * The bucket should have a lifecycle rule that removes incomplete multipart uploads, and one for the prefixes `payloads/` and
 * `results/` where payloads are kept in it.
 *
 * @throws OptionsError when an option is not valid.
 *
 * @example
 * ```ts
 * import { S3Store } from "@muster/worker/s3";
 *
 * const worker = new Worker({ artifacts: new S3Store({ bucket: "acme-results", region: "eu-central-1" }), tasks });
 * ```
 */
export class S3Store implements ObjectStore {
  readonly #settings: S3Settings;
  readonly #requests: S3Requests;

  constructor(options: S3StoreOptions) {
    this.#settings = compileS3Options(options);
    this.#requests = new S3Requests(this.#settings);
  }

  uriOf(key: string): string {
    const { bucket, prefix } = this.#settings;
    return `s3://${bucket}/${prefix}${checkedKey(key)}`;
  }

  keyOf(uri: string): string | undefined {
    const { bucket, prefix } = this.#settings;
    const start = `s3://${bucket}/${prefix}`;
    return uri.startsWith(start) && uri.length > start.length ? uri.slice(start.length) : undefined;
  }

  async find(key: string, { signal }: StoreCallOptions = {}): Promise<StoredObject | undefined> {
    const answer = await this.#requests.send({
      method: "HEAD",
      key: checkedKey(key),
      signal,
      expected: [404],
    });
    if (answer.status === 404) return undefined;
    const sha256 = answer.headers.get(SHA256);
    return {
      key,
      size: Number(answer.headers.get("content-length")),
      modifiedTime: new Date(answer.headers.get("last-modified") ?? ""),
      ...(sha256 === null ? {} : { sha256 }),
    };
  }

  async read(key: string, { signal }: StoreCallOptions = {}): Promise<AsyncIterable<Uint8Array>> {
    const answer = await this.#requests.send({
      method: "GET",
      key: checkedKey(key),
      signal,
      expected: [404],
    });
    if (answer.status === 404) {
      await answer.body?.cancel();
      throw missing(this.uriOf(key));
    }
    return this.#pieces(key, answer, signal);
  }

  async put(key: string, source: ObjectSource, options: PutOptions = {}): Promise<boolean> {
    const { contentType = "application/octet-stream", sha256, ifAbsent, signal } = options;
    checkedKey(key);
    await using file = "file" in source ? await open(source.file, "r") : undefined;
    const size = "bytes" in source ? source.bytes.byteLength : ((await file?.stat())?.size ?? 0);
    const read = async (start: number, end: number): Promise<Uint8Array> => {
      if ("bytes" in source) return source.bytes.subarray(start, end);
      const buffer = Buffer.allocUnsafe(end - start);
      const { bytesRead = 0 } = (await file?.read(buffer, 0, end - start, start)) ?? {};
      if (bytesRead < end - start)
        throw new StoreError("OBJECT_CORRUPT", `${source.file} became shorter while it was stored.`);
      return buffer;
    };
    const headers = { "content-type": contentType, ...(sha256 === undefined ? {} : { [SHA256]: sha256 }) };
    const condition: Record<string, string> = ifAbsent ? { "if-none-match": "*" } : {};
    if (size > this.#settings.partBytes) {
      const upload = { key, size, read, headers, condition, signal };
      // Awaited: the file is closed at the end of this call.
      return await uploadInParts(this.#requests, upload, this.#settings.partBytes);
    }
    const answer = await this.#requests.send({
      ...{ method: "PUT", key, signal, body: await read(0, size) },
      headers: { ...headers, ...condition },
      expected: ifAbsent ? [412] : [],
      // Another put of the same key is under way.
      repeatAfter: ifAbsent ? [409] : [],
    });
    await answer.body?.cancel();
    return answer.ok;
  }

  async delete(key: string, { signal }: StoreCallOptions = {}): Promise<void> {
    const answer = await this.#requests.send({
      method: "DELETE",
      key: checkedKey(key),
      signal,
      expected: [404],
    });
    await answer.body?.cancel();
  }

  async *list(prefix: string, { signal }: StoreCallOptions = {}): AsyncGenerator<StoredObject> {
    const own = this.#settings.prefix;
    for (let token: string | undefined = ""; token !== undefined; ) {
      const query = {
        ...{ "list-type": "2", "encoding-type": "url", prefix: own + prefix },
        ...(token === "" ? {} : { "continuation-token": token }),
      };
      const answer = await this.#requests.send({ method: "GET", key: "", query, signal });
      const text = await answer.text();
      for (const entry of allOf(text, "Contents")) {
        yield {
          key: keyIn(entry, text).slice(own.length),
          size: Number(firstOf(entry, "Size")),
          modifiedTime: new Date(firstOf(entry, "LastModified") ?? ""),
        };
      }
      token = firstOf(text, "NextContinuationToken");
    }
  }

  async removeUnfinished(olderThanS: number, { signal }: StoreCallOptions = {}): Promise<number> {
    const own = this.#settings.prefix;
    const before = wallClock().getTime() - olderThanS * 1000;
    let removed = 0;
    const query = { uploads: "", "encoding-type": "url", prefix: own };
    // One page of 1000: another call removes the next ones.
    const answer = await this.#requests.send({ method: "GET", key: "", query, signal });
    const text = await answer.text();
    for (const entry of allOf(text, "Upload")) {
      const uploadId = firstOf(entry, "UploadId") ?? "";
      const begun = new Date(firstOf(entry, "Initiated") ?? "").getTime();
      if (!(begun <= before)) continue;
      await abort(this.#requests, keyIn(entry, text).slice(own.length), uploadId, signal);
      removed += 1;
    }
    return removed;
  }

  /** The body of an answer; a connection that breaks is made again for the rest. */
  async *#pieces(key: string, first: Response, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    const etag = first.headers.get("etag");
    const size = Number(first.headers.get("content-length"));
    let position = 0;
    for (let answer = first, resumes = 0; ; resumes++) {
      try {
        for await (const piece of answer.body ?? []) {
          position += piece.byteLength;
          yield piece;
        }
        return;
      } catch (error) {
        signal?.throwIfAborted();
        if (etag === null || resumes === MAX_RESUMES || position >= size)
          throw new StoreError("S3_INTERRUPTED", `GET ${this.uriOf(key)}: ${String(error)}`, {
            cause: error,
          });
      }
      const headers = { range: `bytes=${position}-`, "if-match": etag ?? "" };
      answer = await this.#requests.send({ method: "GET", key, headers, signal });
    }
  }
}

/** The key of an entry. Not every service encodes keys when it is asked to; the answer says whether it did. */
function keyIn(entry: string, answer: string): string {
  const key = firstOf(entry, "Key") ?? "";
  return firstOf(answer, "EncodingType") === "url" ? decodeURIComponent(key.replaceAll("+", " ")) : key;
}

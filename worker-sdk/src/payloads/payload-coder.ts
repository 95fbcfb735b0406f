/** Encodes and decodes payloads and results. */
import { createHash, randomUUID } from "node:crypto";
import { messageOf } from "../attempt/failure/classify.ts";
import { wallClock } from "../clock.ts";
import { joinKey } from "../storage/object-key.ts";
import { type ObjectStore, StoreError } from "../storage/object-store.ts";
import type { PayloadContext } from "./codec.ts";
import {
  type AppliedCodec,
  type ClaimedObject,
  ENCODED_TYPE,
  isEncoded,
  readEnvelope,
  writeEnvelope,
} from "./envelope.ts";
import { PayloadError } from "./payload-error.ts";
import type { PayloadSettings } from "./payload-options.ts";

/** First parts of the keys of payloads and results in a store. */
export const CLAIM_PREFIXES = { payload: "payloads", result: "results" } as const;

/** What codecs may add to a content; an object that claims to be larger is refused before it is read. */
const MAX_OVERHEAD_BYTES = 1024 * 1024;

/** Bytes with their media type. */
export interface Content {
  readonly bytes: Uint8Array;
  readonly contentType: string;
}

/** What was encoded, and the object that was made for it. */
export interface EncodedContent extends Content {
  readonly objectKey: string | undefined;
}

/** What belongs to an encoded content besides its media type. */
export type Belonging = Omit<PayloadContext, "contentType">;

/** Encodes and decodes by the option `payloads`. */
export class PayloadCoder {
  readonly #settings: PayloadSettings;

  constructor(settings: PayloadSettings) {
    this.#settings = settings;
  }

  /**
   * Encodes a content; returned as it is when no codec does anything and it is not large.
   *
   * @param keepHere True: it is never put into the store.
   * @throws PayloadError `PAYLOAD_TOO_LARGE`, `PAYLOAD_STORE_FAILED`; what a codec throws; the reason of the signal.
   */
  async encode(
    content: Content,
    belonging: Belonging,
    {
      signal,
      keepHere = false,
    }: { readonly signal?: AbortSignal | undefined; readonly keepHere?: boolean } = {},
  ): Promise<EncodedContent> {
    const { codecs, store, aboveBytes, maxBytes } = this.#settings;
    // What a caller encoded by itself, or copied from another task, passes.
    if (isEncoded(content.contentType)) return { ...content, objectKey: undefined };
    const size = content.bytes.byteLength;
    if (size > maxBytes)
      throw new PayloadError(
        "PAYLOAD_TOO_LARGE",
        `The ${belonging.direction} has ${size} bytes; at most ${maxBytes} (payloads.maxBytes). Store it as an artifact and refer to it.`,
      );
    const context = { ...belonging, contentType: content.contentType };
    const applied: AppliedCodec[] = [];
    let { bytes } = content;
    for (const codec of codecs) {
      signal?.throwIfAborted();
      const encoded = await codec.encode(bytes, context);
      if (encoded === undefined) continue;
      applied.push({ name: codec.name, ...(encoded.facts && { facts: encoded.facts }) });
      bytes = encoded.bytes;
    }
    const isLarge = store !== undefined && bytes.byteLength > aboveBytes && !keepHere;
    if (applied.length === 0 && !isLarge) return { ...content, objectKey: undefined };
    const object = isLarge ? await this.#claim(store, bytes, belonging, signal) : undefined;
    const header = { contentType: content.contentType, size, codecs: applied, object };
    return {
      bytes: writeEnvelope(header, object === undefined ? bytes : new Uint8Array()),
      contentType: ENCODED_TYPE,
      objectKey: object?.key,
    };
  }

  /**
   * Decodes a content; returned as it is when it is not encoded.
   *
   * @throws PayloadError; the reason of the signal.
   */
  async decode(
    content: Content,
    belonging: Belonging,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Content> {
    if (!isEncoded(content.contentType)) return content;
    const { header, body } = readEnvelope(content.bytes);
    const { maxBytes } = this.#settings;
    if (header.size > maxBytes)
      throw new PayloadError(
        "PAYLOAD_TOO_LARGE",
        `The ${belonging.direction} has ${header.size} bytes; at most ${maxBytes} (payloads.maxBytes).`,
      );
    const context = { ...belonging, contentType: header.contentType };
    let bytes = header.object === undefined ? body : await this.#fetch(header.object, belonging, signal);
    for (const { name, facts = {} } of header.codecs.toReversed()) {
      signal?.throwIfAborted();
      const codec = this.#settings.codecs.find((each) => each.name === name);
      if (codec === undefined) throw codecMissing(name, this.#settings);
      try {
        bytes = await codec.decode(bytes, facts, context, { maxBytes: maxBytes + MAX_OVERHEAD_BYTES });
      } catch (error) {
        if (error instanceof PayloadError) throw error;
        throw new PayloadError(
          "PAYLOAD_CORRUPT",
          `The codec "${name}" cannot decode it: ${messageOf(error)}.`,
          {
            cause: error,
          },
        );
      }
    }
    if (bytes.byteLength !== header.size)
      throw new PayloadError(
        "PAYLOAD_CORRUPT",
        `It has ${bytes.byteLength} bytes when it is decoded; its header says ${header.size}.`,
      );
    return { bytes, contentType: header.contentType };
  }

  /**
   * Removes the objects of contents that no task refers to. It stops at the first that the store does not remove: the others
   * would make the caller wait for its timeout, too.
   *
   * @throws PayloadError `PAYLOAD_STORE_FAILED`, which says how many remain.
   */
  async discard(keys: readonly (string | undefined)[]): Promise<void> {
    const { store } = this.#settings;
    const objects = keys.filter((key) => key !== undefined);
    for (const [removed, key] of store === undefined ? [] : objects.entries()) {
      try {
        await store?.delete(key);
      } catch (error) {
        throw new PayloadError(
          "PAYLOAD_STORE_FAILED",
          `${store?.uriOf(key)}, which no task refers to, could not be removed: ${messageOf(error)} (${objects.length - removed} ` +
            "remain)",
          { cause: error },
        );
      }
    }
  }

  /** Puts encoded bytes into the store. The day is part of the key, so that what is old is found by its prefix. */
  async #claim(
    store: ObjectStore,
    bytes: Uint8Array,
    { direction, taskId }: Belonging,
    signal: AbortSignal | undefined,
  ): Promise<ClaimedObject> {
    const day = wallClock().toISOString().slice(0, 10);
    const name = taskId === "" ? randomUUID() : `${taskId}.${randomUUID()}`;
    const key = joinKey(CLAIM_PREFIXES[direction], day, name);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    try {
      await store.put(key, { bytes }, { sha256, ...(signal && { signal }) });
    } catch (error) {
      signal?.throwIfAborted();
      throw new PayloadError(
        "PAYLOAD_STORE_FAILED",
        `The ${direction} could not be stored as ${store.uriOf(key)}: ${messageOf(error)}`,
        { cause: error },
      );
    }
    return { key, size: bytes.byteLength, sha256 };
  }

  async #fetch(
    { key, size, sha256 }: ClaimedObject,
    { direction }: Belonging,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const { store, maxBytes } = this.#settings;
    if (store === undefined)
      throw new PayloadError(
        "PAYLOAD_STORE_MISSING",
        `The ${direction} is in a store, as ${JSON.stringify(key)}. Give the option payloads.claimCheck.`,
      );
    // The reference came with the task: it may name nothing but what such a reference is made for.
    if (!key.startsWith(`${CLAIM_PREFIXES[direction]}/`))
      throw new PayloadError(
        "PAYLOAD_CORRUPT",
        `The ${direction} refers to ${JSON.stringify(key)}, which is none.`,
      );
    if (size > maxBytes + MAX_OVERHEAD_BYTES)
      throw new PayloadError(
        "PAYLOAD_TOO_LARGE",
        `${store.uriOf(key)} has ${size} bytes; at most ${maxBytes}.`,
      );
    const hash = createHash("sha256");
    const pieces: Uint8Array[] = [];
    let length = 0;
    try {
      for await (const piece of await store.read(key, signal && { signal })) {
        hash.update(piece);
        pieces.push(piece);
        length += piece.byteLength;
        if (length > size) break;
      }
    } catch (error) {
      signal?.throwIfAborted();
      const isGone = error instanceof StoreError && error.code === "OBJECT_MISSING";
      throw new PayloadError(
        isGone ? "PAYLOAD_MISSING" : "PAYLOAD_STORE_FAILED",
        isGone
          ? `The ${direction} does not exist any more: there is no object ${store.uriOf(key)}.`
          : `The ${direction} could not be read from ${store.uriOf(key)}: ${messageOf(error)}`,
        { cause: error },
      );
    }
    if (length !== size || hash.digest("hex") !== sha256)
      throw new PayloadError(
        "PAYLOAD_CORRUPT",
        `${store.uriOf(key)} is not what was stored: its size or SHA-256 differs.`,
      );
    return Buffer.concat(pieces, length);
  }
}

function codecMissing(name: string, { codecs }: PayloadSettings): PayloadError {
  const has = codecs.length === 0 ? "none" : codecs.map((codec) => codec.name).join(", ");
  return new PayloadError(
    "PAYLOAD_CODEC_MISSING",
    `It is encoded with ${JSON.stringify(name.slice(0, 64))}; the codecs here are ${has}. Add it to the option payloads.codecs.`,
  );
}

/** The error of an encoded content where the option `payloads` is not set. */
export function notDecodable(direction: PayloadContext["direction"]): PayloadError {
  return new PayloadError(
    "PAYLOAD_CODEC_MISSING",
    `The ${direction} is encoded (${ENCODED_TYPE}). Give the option payloads with the codecs that encoded it.`,
  );
}

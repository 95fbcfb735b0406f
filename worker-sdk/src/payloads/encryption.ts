/** Encrypts payloads with AES-256-GCM of node:crypto. */

import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { type OptionNames, unknownOptions } from "../options/known-options.ts";
import { OptionsError } from "../options/options-error.ts";
import type { PayloadCodec, PayloadContext } from "./codec.ts";
import { PayloadError } from "./payload-error.ts";

const NAMES: OptionNames<EncryptionOptions> = { keys: true, current: true };

const CIPHER = "aes-256-gcm";
const KEY_BYTES = 32;

/** A random nonce of 96 bits, as NIST SP 800-38D asks for: at most 2^32 payloads with one key. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Form of the id of a key. */
const KEY_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** Options of `encryption`. */
export interface EncryptionOptions {
  /**
   * Keys of 32 bytes by their ids, as bytes or in base64. Ids are 1 to 64 of `A-Z a-z 0-9 . _ -`; they are no secret. Every
   * key with which something was encrypted that may still be read has to be here.
   */
  readonly keys: Readonly<Record<string, Uint8Array | string>>;
  /** Id of the key that encrypts. */
  readonly current: string;
}

/**
 * A codec that encrypts with AES-256-GCM. What it encrypts is bound to its direction, task type and media type, a result
 * also to its task: it is not accepted elsewhere.
 *
 * To change the key, give the new one to all clients and workers, then make it the current one, and remove the old one when
 * nothing is left that it encrypted.
 *
 * @throws OptionsError when an option is not valid; it never has a key in its message.
 *
 * @example
 * ```ts
 * const key = process.env.PAYLOAD_KEY_2026 ?? "";
 * const payloads: PayloadOptions = { codecs: [encryption({ keys: { "2026": key }, current: "2026" })] };
 * ```
 */
export function encryption(options: EncryptionOptions): PayloadCodec {
  const keys = compile(options);
  const { current } = options;
  return {
    name: CIPHER,
    encode(bytes, context) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, keyOf(keys, current), nonce, { authTagLength: TAG_BYTES });
      cipher.setAAD(boundTo(context));
      const encrypted = [nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()];
      return { bytes: Buffer.concat(encrypted), facts: { key: current } };
    },
    decode(bytes, { key: id = "" }, context) {
      const key = keyOf(keys, id);
      if (bytes.byteLength < NONCE_BYTES + TAG_BYTES)
        throw new PayloadError("PAYLOAD_CORRUPT", "It is shorter than a nonce and an authentication tag.");
      const nonce = bytes.subarray(0, NONCE_BYTES);
      const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(boundTo(context));
      decipher.setAuthTag(bytes.subarray(bytes.byteLength - TAG_BYTES));
      try {
        const first = decipher.update(bytes.subarray(NONCE_BYTES, bytes.byteLength - TAG_BYTES));
        return Buffer.concat([first, decipher.final()]);
      } catch (cause) {
        throw new PayloadError(
          "PAYLOAD_CORRUPT",
          `It cannot be decrypted with the key "${id}": it was changed, belongs to another task or type, or the key here is another one of the same id.`,
          { cause },
        );
      }
    },
  };
}

function compile(options: EncryptionOptions): ReadonlyMap<string, KeyObject> {
  const faults: string[] = [...unknownOptions(options, NAMES)];
  const { keys, current } = options;
  const compiled = new Map<string, KeyObject>();
  if (typeof keys !== "object" || keys === null)
    throw new OptionsError("encryption", ["option keys: is missing"]);
  for (const [id, key] of Object.entries(keys)) {
    if (!KEY_ID.test(id))
      faults.push(`option keys: the id ${JSON.stringify(id)} must match ${KEY_ID.source}`);
    const bytes = typeof key === "string" ? Buffer.from(key, "base64") : key;
    if (bytes?.byteLength === KEY_BYTES) compiled.set(id, createSecretKey(bytes));
    else {
      const size = `${bytes?.byteLength ?? 0} bytes`;
      faults.push(`option keys.${id}: has ${size}; give ${KEY_BYTES}, as bytes or in base64`);
    }
  }
  if (!Object.hasOwn(keys, current)) {
    const ids = Object.keys(keys).join(", ");
    faults.push(`option current: ${JSON.stringify(current)} is none of the ids of keys (${ids})`);
  }
  if (faults.length > 0) throw new OptionsError("encryption", faults);
  return compiled;
}

function keyOf(keys: ReadonlyMap<string, KeyObject>, id: string): KeyObject {
  const key = keys.get(id);
  if (key !== undefined) return key;
  throw new PayloadError(
    "PAYLOAD_KEY_UNKNOWN",
    `It is encrypted with the key ${JSON.stringify(id)}; the keys here are ${[...keys.keys()].join(", ")}. Add it to the option keys of encryption().`,
  );
}

/** Data that is authenticated and not sent. */
function boundTo({ direction, taskType, taskId, contentType }: PayloadContext): Buffer {
  return Buffer.from(JSON.stringify(["muster", 1, direction, taskType, taskId, contentType]));
}

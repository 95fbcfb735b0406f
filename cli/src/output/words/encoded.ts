/** What a payload or result is that the program's own codecs encoded. */
import { ENCODED_TYPE, PayloadError, readEnvelope } from "@muster/worker/client";
import { formatBytes } from "../text.ts";

/** True for the media type of such content. */
export function isEncodedType(contentType: string): boolean {
  return contentType === ENCODED_TYPE;
}

/** One line about content that is encoded, from its header, for example `12 KiB of application/json, encoded with gzip`. */
export function describeEncoded(bytes: Uint8Array): string {
  try {
    const { contentType, size, codecs, object } = readEnvelope(bytes).header;
    const names = codecs.map(({ name, facts }) =>
      facts?.key === undefined ? name : `${name} (key ${facts.key})`,
    );
    return [
      `${formatBytes(size)} of ${contentType}`,
      ...(names.length === 0 ? [] : [`encoded with ${names.join(", ")}`]),
      ...(object === undefined ? [] : [`in the store as ${object.key} (${formatBytes(object.size)})`]),
    ].join(", ");
  } catch (error) {
    if (!(error instanceof PayloadError)) throw error;
    return `${formatBytes(bytes.byteLength)} of ${ENCODED_TYPE}, whose header cannot be read (${error.code})`;
  }
}

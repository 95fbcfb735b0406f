/** Tells what bytes with a media type hold. */

/** The content of a payload or a result. */
export type Content =
  | { readonly kind: "json"; readonly text: string }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "binary" };

const BINARY: Content = { kind: "binary" };

const JSON_TYPE = /^(?:application\/json|[^/;\s]+\/[^/;\s]+\+json)$/;
const TEXT_TYPE =
  /^(?:text\/[^/;\s]+|application\/(?:xml|x-www-form-urlencoded|x-ndjson)|[^/;\s]+\/[^/;\s]+\+xml)$/;

/** None is UTF-8, too. */
const UTF8_CHARSET = /^(?:|utf-?8|us-ascii)$/i;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The media type without its parameters, in lower case. */
export function essence(contentType: string): string {
  return contentType.split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

/** True for JSON, also of a type such as `application/ld+json`. */
export function isJson(contentType: string): boolean {
  return JSON_TYPE.test(essence(contentType));
}

/**
 * What the bytes hold: JSON that parses, text in UTF-8, or anything else, such as text in another character set. A byte order mark is left out.
 *
 * @param contentType Empty means JSON.
 */
export function readContent(bytes: Uint8Array, contentType: string): Content {
  const json = contentType === "" || isJson(contentType);
  if (!json && !TEXT_TYPE.test(essence(contentType))) return BINARY;
  if (!UTF8_CHARSET.test(charsetOf(contentType))) return BINARY;
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return BINARY;
  }
  return json && parses(text) ? { kind: "json", text } : { kind: "text", text };
}

function charsetOf(contentType: string): string {
  return /;\s*charset="?([^";\s]*)/i.exec(contentType)?.[1] ?? "";
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

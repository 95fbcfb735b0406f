/** Media types of payloads: by the name of a file, and which are JSON or text. */
import { extname } from "node:path";

/** Common payloads; anything else is `application/octet-stream` or given by option. */
const BY_EXTENSION: Readonly<Record<string, string>> = {
  ".json": "application/json",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".jpeg": "image/jpeg",
  ".gif": "image/gif",
  ".webp": "image/webp",
  ".tif": "image/tiff",
  ".tiff": "image/tiff",
  ".bmp": "image/bmp",
  ".svg": "image/svg+xml",
  ".pdf": "application/pdf",
  ".txt": "text/plain",
  ".md": "text/markdown",
  ".csv": "text/csv",
  ".html": "text/html",
  ".xml": "application/xml",
  ".mp3": "audio/mpeg",
  ".wav": "audio/wav",
  ".flac": "audio/flac",
  ".ogg": "audio/ogg",
  ".mp4": "video/mp4",
  ".webm": "video/webm",
  ".zip": "application/zip",
  ".gz": "application/gzip",
};

/** Media type by the file's name; `application/octet-stream` for an unknown extension. */
export function guessMediaType(path: string): string {
  return BY_EXTENSION[extname(path).toLowerCase()] ?? "application/octet-stream";
}

/** True for `application/json` and the `+json` types, whatever their parameters. */
export function isJson(mediaType: string): boolean {
  const essence = essenceOf(mediaType);
  return essence === "application/json" || essence.endsWith("+json");
}

/** True for types that a terminal can show: JSON, XML and `text/...`. */
export function isText(mediaType: string): boolean {
  const essence = essenceOf(mediaType);
  return (
    isJson(essence) ||
    essence.startsWith("text/") ||
    essence === "application/xml" ||
    essence.endsWith("+xml")
  );
}

function essenceOf(mediaType: string): string {
  return (mediaType.split(";")[0] ?? "").trim().toLowerCase();
}

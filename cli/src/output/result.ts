import type { Task } from "@muster/protocol";
import { isJson, isText } from "../arguments/tasks/media-type.ts";
import type { Io } from "../io/io.ts";
import { formatBytes, printable } from "./text.ts";
import { describeEncoded, isEncodedType } from "./words/encoded.ts";

/**
 * Writes the result of a succeeded task to stdout. Piped: its bytes unchanged, text with a final line feed. On a
 * terminal: indented JSON, text without control characters, and for other types only the size.
 */
export function writeResult(task: Task, io: Io): void {
  const { id, output, outputContentType } = task;
  writeBytes(output, outputContentType || "application/json", `\`muster task ${id} --result > FILE\``, io);
}

/** Writes a result that was received as a value: bytes, or what JSON stands for. As `writeResult`. */
export function writeValue(value: unknown, contentType: string, io: Io): void {
  const bytes = value instanceof Uint8Array ? value : Buffer.from(JSON.stringify(value ?? null));
  writeBytes(bytes, contentType, "the command with > FILE", io);
}

function writeBytes(output: Uint8Array, contentType: string, saving: string, { stdout, stderr }: Io): void {
  if (output.byteLength === 0) return;
  if (!isText(contentType)) {
    if (stdout.isTTY) {
      const size = isEncodedType(contentType)
        ? printable(describeEncoded(output))
        : `${formatBytes(output.byteLength)} of ${contentType}`;
      stderr.write(`${size} are not shown on a terminal: ${saving} saves them\n`);
      return;
    }
    stdout.write(output);
    return;
  }
  if (stdout.isTTY) {
    stdout.write(`${printable(readable(new TextDecoder().decode(output), contentType)).trimEnd()}\n`);
    return;
  }
  stdout.write(output);
  if (output.at(-1) !== 0x0a) stdout.write("\n");
}

/**
 * Indented JSON. The text is returned unchanged when it is not JSON, or has numbers with more digits than a double
 * keeps, which would change.
 */
function readable(text: string, contentType: string): string {
  if (!isJson(contentType) || /\d{16}/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2);
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}

import type { Task } from "@muster/protocol";
import { isJson, isText } from "../arguments/media-type.ts";
import type { Io } from "../io/io.ts";
import { formatBytes, printable } from "./text.ts";

/**
 * Writes the result of a succeeded task to stdout. Piped: its bytes unchanged, text with a final line feed. On a
 * terminal: indented JSON, text without control characters, and for other types only the size.
 */
export function writeResult(task: Task, { stdout, stderr }: Io): void {
  const { output } = task;
  const contentType = task.outputContentType || "application/json";
  if (output.byteLength === 0) return;
  if (!isText(contentType)) {
    if (stdout.isTTY) {
      const size = `${formatBytes(output.byteLength)} of ${contentType}`;
      stderr.write(
        `${size} are not shown on a terminal: \`muster task ${task.id} --result > FILE\` saves them\n`,
      );
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

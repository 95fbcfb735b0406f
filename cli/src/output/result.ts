import type { Task } from "@muster/protocol";
import { isJson, isText } from "../arguments/media-type.ts";
import type { Io } from "../io/io.ts";
import { formatBytes, printable } from "./text.ts";

/**
 * Writes the result of a succeeded task to stdout. For a program: its bytes as they are, text with a
 * final line feed. For a person: JSON in lines, text without control characters, and of anything else
 * only how much there is.
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
 * JSON in lines; as it is when it is not JSON after all, or has numbers with more digits than a double
 * keeps: those would change.
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

import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { toJson } from "@bufbuild/protobuf";
import type { Screen } from "../io/io.ts";

/**
 * Writes a message as one protobuf JSON document, indented on a terminal. Fields with their default value are
 * included, so that a program finds lists and counts in every answer.
 */
export function writeJson<S extends DescMessage>(screen: Screen, schema: S, message: MessageShape<S>): void {
  const document = toJson(schema, message, { alwaysEmitImplicit: true });
  screen.write(`${JSON.stringify(document, undefined, screen.isTTY ? 2 : undefined)}\n`);
}

/** Writes a message as one line, for streams of them. */
export function writeJsonLine<S extends DescMessage>(
  screen: Screen,
  schema: S,
  message: MessageShape<S>,
): void {
  screen.write(`${JSON.stringify(toJson(schema, message, { alwaysEmitImplicit: true }))}\n`);
}

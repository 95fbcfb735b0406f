/** Leaves out of an answer what tasks are given and return: for pages where an operator wants that. */
import { clone, type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";

/** Texts that are for those who may see the data of a task, beside every field of bytes. */
const TEXTS: ReadonlySet<string> = new Set(["muster.v1.Failure.traceback", "muster.v1.Failure.details"]);

/** A copy without payloads, results, tracebacks and details; tasks name what is left out in `omitted_fields`. */
export function withoutPayloads<T extends Message>(schema: DescMessage, message: T): T {
  const copy = clone(schema, message);
  strip(reflect(schema, copy));
  return copy as T;
}

/** True for a field with data of a task. */
export function isOfPayload(field: DescField): boolean {
  const isBytes =
    (field.fieldKind === "scalar" && field.scalar === ScalarType.BYTES) ||
    (field.fieldKind === "list" && field.listKind === "scalar" && field.scalar === ScalarType.BYTES) ||
    (field.fieldKind === "map" && field.mapKind === "scalar" && field.scalar === ScalarType.BYTES);
  return isBytes || TEXTS.has(`${field.parent.typeName}.${field.name}`);
}

function strip(message: ReflectMessage): void {
  const omitted: string[] = [];
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    if (isOfPayload(field)) {
      message.clear(field);
      omitted.push(field.name);
    } else if (field.fieldKind === "message") strip(message.get(field));
    else if (field.fieldKind === "list" && field.listKind === "message")
      for (const each of message.get(field)) strip(each as ReflectMessage);
    else if (field.fieldKind === "map" && field.mapKind === "message")
      for (const each of message.get(field).values()) strip(each as ReflectMessage);
  }
  const names = message.fields.find(({ name }) => name === "omitted_fields");
  if (names?.fieldKind === "list") for (const name of omitted) message.get(names).add(name);
}

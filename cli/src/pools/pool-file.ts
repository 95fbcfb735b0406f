/** Reads the spec of a pool from a file in YAML or JSON. */
import {
  create,
  type DescEnum,
  type DescField,
  type DescMessage,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import { type Duration, DurationSchema, durationFromMs, StructSchema } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import { closestNames } from "@muster/common/text/closest-names";
import { quoted } from "@muster/common/text/text";
import { type PoolSpec, PoolSpecSchema } from "@muster/protocol";
import { parseDocument } from "yaml";

/** Largest file: a spec is far smaller, and aliases of YAML are not expanded without a bound. */
export const MAX_FILE_BYTES = 1024 * 1024;

/** Aliases that a document may have: more only multiply its size. */
const MAX_ALIASES = 100;

/** The faults of a file, each with its place. */
export class PoolFileError extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(faults.join("\n"));
    this.faults = faults;
  }
}

/**
 * The spec of the file. Names are those of the protocol, also in camelCase; durations are written `5m`.
 *
 * @throws PoolFileError with every fault.
 */
export function readPoolFile(text: string): PoolSpec {
  const document = parseDocument(text, { prettyErrors: true });
  if (document.errors.length > 0)
    throw new PoolFileError(document.errors.map(({ message }) => message.trim()));
  const faults: string[] = [];
  const value = toPlain(document);
  const spec = readMessage(PoolSpecSchema, value, "", faults);
  if (faults.length > 0) throw new PoolFileError(faults);
  return create(PoolSpecSchema, spec as MessageInitShape<typeof PoolSpecSchema>);
}

function toPlain(document: ReturnType<typeof parseDocument>): unknown {
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    // An alias of nothing, or too many of them.
    throw new PoolFileError([error instanceof Error ? error.message : String(error)]);
  }
}

function readMessage(schema: DescMessage, value: unknown, path: string, faults: string[]): object {
  if (!isObject(value)) {
    faults.push(`${path || "the file"} is ${shown(value)}, and must have the fields ${names(schema)}`);
    return {};
  }
  const read: Record<string, unknown> = {};
  for (const [key, entry] of Object.entries(value)) {
    const field = schema.fields.find(({ name, jsonName }) => name === key || jsonName === key);
    const at = path ? `${path}.${key}` : key;
    if (!field) {
      const [nearest] = closestNames(
        key,
        schema.fields.map(({ name }) => name),
      );
      faults.push(
        nearest
          ? `${at} is no field; did you mean ${nearest}?`
          : `${at} is no field; there are ${names(schema)}`,
      );
      continue;
    }
    // An empty entry of YAML is null: as if it were not there.
    if (entry === null) continue;
    const given = readField(field, entry, at, faults);
    if (!field.oneof) read[field.localName] = given;
    else if (read[field.oneof.localName] !== undefined) faults.push(`${at} excludes an earlier field`);
    else read[field.oneof.localName] = { case: field.localName, value: given };
  }
  return read;
}

function readField(field: DescField, value: unknown, path: string, faults: string[]): unknown {
  switch (field.fieldKind) {
    case "list": {
      if (!Array.isArray(value)) {
        faults.push(`${path} is ${shown(value)}, and must be a list`);
        return [];
      }
      return value.map((entry, index) =>
        field.listKind === "message"
          ? readMessage(field.message, entry, `${path}[${index}]`, faults)
          : readScalar(kindOf(field.scalar), entry, `${path}[${index}]`, faults),
      );
    }
    case "map": {
      if (!isObject(value)) {
        faults.push(`${path} is ${shown(value)}, and must have names with values`);
        return {};
      }
      const kind = kindOf(field.scalar);
      return Object.fromEntries(
        Object.entries(value).map(([key, entry]) => [key, readScalar(kind, entry, `${path}.${key}`, faults)]),
      );
    }
    case "message":
      if (field.message.typeName === DurationSchema.typeName) return readDuration(value, path, faults);
      if (field.message.typeName === StructSchema.typeName) return readObject(value, path, faults);
      return readMessage(field.message, value, path, faults);
    case "enum":
      return readEnum(field.enum, value, path, faults);
    case "scalar":
      return readScalar(kindOf(field.scalar), value, path, faults);
    default: {
      const unknown: never = field;
      throw new TypeError(`the field ${JSON.stringify(unknown)} has no form in a file`);
    }
  }
}

/** A value of an enum is written without the name that all have in front, for example `ROLL_BACK`. */
function readEnum(
  { values, sharedPrefix = "" }: DescEnum,
  value: unknown,
  path: string,
  faults: string[],
): number {
  const known = values.filter(({ number }) => number !== 0);
  const shortOf = ({ name }: { name: string }) => name.slice(sharedPrefix.length);
  const found = known.find((each) => typeof value === "string" && [each.name, shortOf(each)].includes(value));
  if (found) return found.number;
  faults.push(`${path} is ${shown(value)}, and must be one of ${known.map(shortOf).join(", ")}`);
  return 0;
}

/** Fields of another project's, as they are. */
function readObject(value: unknown, path: string, faults: string[]): object {
  if (isObject(value)) {
    try {
      // As JSON has it: YAML also has dates, and names that are no text.
      return JSON.parse(JSON.stringify(value));
    } catch (error) {
      faults.push(`${path} has no form in JSON: ${error instanceof Error ? error.message : String(error)}`);
      return {};
    }
  }
  faults.push(`${path} is ${shown(value)}, and must be an object`);
  return {};
}

type Kind = "text" | "whole" | "long" | "number" | "truth";

/** The numbers of google.protobuf.FieldDescriptorProto.Type. */
const KINDS: Readonly<Record<number, Kind>> = {
  ...{ 1: "number", 3: "long", 5: "whole", 8: "truth", 9: "text" },
};

function kindOf(scalar: number | undefined): Kind {
  const kind = KINDS[scalar ?? 0];
  if (kind === undefined) throw new TypeError(`the type ${scalar} has no form in a file`);
  return kind;
}

function readScalar(kind: Kind, value: unknown, path: string, faults: string[]): unknown {
  if (kind === "text") {
    if (typeof value === "string") return value;
    // YAML reads `8080` and `true` as a number and a truth value; of a variable or an argument they are meant as text.
    if (typeof value === "number" || typeof value === "boolean") return String(value);
    faults.push(`${path} is ${shown(value)}, and must be text`);
    return "";
  }
  if (kind === "truth") {
    if (typeof value === "boolean") return value;
    faults.push(`${path} is ${shown(value)}, and must be true or false`);
    return false;
  }
  if (typeof value === "number" && (kind === "number" || Number.isSafeInteger(value))) {
    if (kind === "long") return BigInt(value);
    if (kind !== "whole" || Math.abs(value) < 2 ** 31) return value;
  }
  faults.push(`${path} is ${shown(value)}, and must be a ${kind === "number" ? "number" : "whole number"}`);
  return kind === "long" ? 0n : 0;
}

function readDuration(value: unknown, path: string, faults: string[]): Duration {
  try {
    if (typeof value === "string") return durationFromMs(parseDuration(value));
    faults.push(`${path} is ${shown(value)}, and must be a duration, for example 5m or 30s`);
  } catch (error) {
    faults.push(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
  return durationFromMs(0);
}

function names(schema: DescMessage): string {
  return schema.fields.map(({ name }) => name).join(", ");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (isObject(value)) return "an object";
  return value === null || value === undefined ? "empty" : quoted(String(value), 60);
}

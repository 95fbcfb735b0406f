/** Values that parsers, databases and logs fail on. */
import {
  create,
  type DescField,
  type DescMessage,
  type MessageInitShape,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import type { Random } from "../support/random.ts";

/** Texts that parsers, databases and logs stumble over. */
const TEXTS: readonly string[] = [
  "",
  "\0",
  "a\0b",
  "t-1.1",
  "t-9007199254740993.999999999",
  "t-0.0",
  "default",
  "echo",
  "ready",
  "%s%n\r\n\x1b[31m",
  "../../../etc/passwd",
  "'; drop table task; --",
  `${"x".repeat(199)}\u{1F600}\u{1F600}`,
  "\u{1F600}".repeat(2_048),
  "\u202Eabc\uFEFF",
  "__proto__",
  "constructor",
  "y".repeat(20_000),
  "v1:9999999999999999",
  "djE6OTk5OTk5OTk5OTk5OTk5OQ",
];
const INT32S = [0, 1, -1, 2, 7, 1_000, 2_147_483_647, -2_147_483_648] as const;
const INT64S = [0n, 1n, -1n, 2n ** 31n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)] as const;
const DOUBLES = [0, -0, 1, -1, 0.1, Number.NaN, Infinity, -Infinity, 1e308, 5e-324] as const;

/** What a generated message should mention, so that it reaches deeper than the first check. */
export interface Known {
  readonly texts: readonly string[];
}

/** A valid encoding of any message of the schema with unexpected values. */
export function hostileMessage<T extends DescMessage>(
  schema: T,
  random: Random,
  known: Known,
): MessageInitShape<T> {
  return hostile(schema, random, known, 0) as MessageInitShape<T>;
}

/** The same as bytes. */
export function hostileBytes(schema: DescMessage, random: Random, known: Known): Uint8Array {
  return toBinary(schema, create(schema, hostileMessage(schema, random, known)));
}

/** The bytes with some flipped, inserted, dropped, repeated or cut off. */
export function mutate(bytes: Uint8Array, random: Random): Buffer {
  let mutated = Buffer.from(bytes);
  for (let step = random.int(1, 4); step > 0; step--) {
    const at = random.int(0, Math.max(0, mutated.length - 1));
    switch (random.weighted({ flip: 4, insert: 2, drop: 2, repeat: 1, cut: 2 })) {
      case "flip":
        if (mutated.length > 0) mutated[at] = random.int(0, 255);
        break;
      case "insert":
        mutated = Buffer.concat([
          mutated.subarray(0, at),
          random.bytes(random.int(1, 9)),
          mutated.subarray(at),
        ]);
        break;
      case "drop":
        mutated = Buffer.concat([mutated.subarray(0, at), mutated.subarray(at + random.int(1, 4))]);
        break;
      case "repeat":
        mutated = Buffer.concat([mutated, mutated.subarray(at)]);
        break;
      case "cut":
        mutated = mutated.subarray(0, at);
        break;
    }
  }
  return mutated;
}

function hostile(schema: DescMessage, random: Random, known: Known, depth: number): Record<string, unknown> {
  const init: Record<string, unknown> = {};
  for (const field of schema.fields) {
    if (field.oneof) continue;
    if (random.chance(0.3)) continue;
    const value = fieldValue(field, random, known, depth);
    if (value !== undefined) init[field.localName] = value;
  }
  for (const oneof of schema.oneofs) {
    const field = random.pick(oneof.fields);
    const value = field && fieldValue(field, random, known, depth);
    if (field && value !== undefined) init[oneof.localName] = { case: field.localName, value };
  }
  return init;
}

function fieldValue(field: DescField, random: Random, known: Known, depth: number): unknown {
  const one = () => single(field, random, known, depth);
  switch (field.fieldKind) {
    case "list":
      return Array.from({ length: random.pick([0, 1, 2, 5, 70]) ?? 0 }, one).filter(
        (item) => item !== undefined,
      );
    case "map": {
      const entries = Array.from({ length: random.pick([0, 1, 3, 70]) ?? 0 }, (_, n) => {
        const key = field.mapKey === ScalarType.STRING ? `${text(random, known).slice(0, 50)}${n}` : n;
        return [key, one()] as const;
      });
      return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
    }
    default:
      return one();
  }
}

function single(field: DescField, random: Random, known: Known, depth: number): unknown {
  if (field.message) {
    if (depth > 4) return undefined;
    return create(field.message, hostile(field.message, random, known, depth + 1));
  }
  if (field.enum) return random.pick([0, 1, 2, 3, 99, -1]);
  switch (field.scalar) {
    case ScalarType.STRING:
      return text(random, known);
    case ScalarType.BYTES:
      return random.bytes(random.pick([0, 1, 100, 5_000]) ?? 0);
    case ScalarType.BOOL:
      return random.chance(0.5);
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return random.pick(DOUBLES);
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return random.pick(INT64S);
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return random.pick(INT64S.filter((value) => value >= 0n));
    default:
      return random.pick(INT32S);
  }
}

function text(random: Random, known: Known): string {
  return (random.chance(0.4) ? random.pick(known.texts) : random.pick(TEXTS)) ?? "";
}

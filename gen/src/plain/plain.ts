/** Turns messages into plain objects: names instead of numbers, dates, no BigInt. `JSON.stringify` takes them. */
import type { DescEnum, DescField, DescMessage, Message, MessageShape } from "@bufbuild/protobuf";
import { type Duration, durationMs, type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";

/**
 * The plain form of a value of a message: a `Timestamp` is a `Date`, a `Duration` a number of seconds, an enum the name of
 * its value in lower case, a 64-bit integer a number; one beyond 2^53, which nothing that Muster counts
 * reaches, is its digits as a string.
 */
export type Plain<T> = T extends Timestamp
  ? Date
  : T extends Duration
    ? number
    : T extends bigint
      ? number
      : T extends string | boolean | Uint8Array | undefined
        ? T
        : T extends number
          ? PlainNumber<T>
          : T extends readonly (infer E)[]
            ? readonly Plain<E>[]
            : T extends Message
              ? PlainMessage<T>
              : T extends object
                ? { readonly [K in keyof T]: Plain<T[K]> }
                : T;

/** Enums have a type of literals. */
type PlainNumber<T extends number> = number extends T ? number : string;

/** The names of an enum's values in plain objects, without that of a value that is not set. */
export type EnumName<E> = Lowercase<Exclude<keyof E & string, "UNSPECIFIED">>;

/** The plain form of a message. A field that holds durations has the suffix `S`: seconds. A oneof is one field of its cases. */
export type PlainMessage<T> = {
  readonly [K in keyof T as PlainName<K, T[K]>]: Plain<T[K]>;
} & UnionToIntersection<OneofFields<T>[keyof T]>;

type PlainName<K, V> = K extends "$typeName" | "$unknown"
  ? never
  : [V] extends [{ case: unknown }]
    ? never
    : [NonNullable<V>] extends [Duration | readonly Duration[] | { readonly [key: string]: Duration }]
      ? `${K & string}S`
      : K;

type OneofFields<T> = {
  [K in keyof T]-?: T[K] extends { case: unknown } ? OneofCases<T[K]> : Record<never, never>;
};

type OneofCases<T> = UnionToIntersection<
  T extends { case: infer C extends string; value: infer V }
    ? { readonly [K in C as PlainName<K, V>]?: Plain<V> }
    : Record<never, never>
>;

type UnionToIntersection<U> = (U extends unknown ? (value: U) => void : never) extends (
  value: infer I,
) => void
  ? I
  : never;

/**
 * A message as a plain object. Fields that are not set are left out, and so is a value of an enum that is not set.
 *
 * @example
 * ```ts
 * plain(WorkerSchema, worker).state; // "ready"
 * ```
 */
export function plain<S extends DescMessage>(schema: S, message: MessageShape<S>): Plain<MessageShape<S>> {
  return plainMessage(schema, message) as Plain<MessageShape<S>>;
}

function plainMessage(schema: DescMessage, message: Message): unknown {
  if (schema.typeName === "google.protobuf.Timestamp") return timestampDate(message as Timestamp);
  if (schema.typeName === "google.protobuf.Duration") return durationMs(message as Duration) / 1_000;
  const fields = message as unknown as Readonly<Record<string, unknown>>;
  const object: Record<string, unknown> = {};
  for (const field of schema.fields) {
    const value = plainField(field, fieldValue(field, fields));
    if (value !== undefined) object[nameOf(field)] = value;
  }
  return object;
}

function fieldValue(field: DescField, fields: Readonly<Record<string, unknown>>): unknown {
  if (field.oneof === undefined) return fields[field.localName];
  const chosen = fields[field.oneof.localName] as { readonly case?: string; readonly value?: unknown };
  return chosen.case === field.localName ? chosen.value : undefined;
}

function nameOf(field: DescField): string {
  return field.message?.typeName === "google.protobuf.Duration" ? `${field.localName}S` : field.localName;
}

function plainField(field: DescField, value: unknown): unknown {
  if (value === undefined) return undefined;
  switch (field.fieldKind) {
    case "list":
      return (value as readonly unknown[]).map((each) => plainValue(field, each));
    case "map":
      return Object.fromEntries(
        Object.entries(value as object).map(([key, each]) => [key, plainValue(field, each)]),
      );
    default:
      return plainValue(field, value);
  }
}

function plainValue({ message, enum: names }: DescField, value: unknown): unknown {
  if (message !== undefined) return plainMessage(message, value as Message);
  if (names !== undefined) return enumName(names, value as number);
  return typeof value === "bigint" ? exactNumber(value) : value;
}

/** The name of an enum's value in lower case; its number for one of a newer version, undefined for one that is not set. */
function enumName(names: DescEnum, value: number): string | undefined {
  if (value === 0) return undefined;
  return names.value[value]?.localName.toLowerCase() ?? String(value);
}

function exactNumber(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

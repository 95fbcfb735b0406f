/**
 * Encodes statement parameters: arrays in PostgreSQL's binary format, and JSON. Text arrays cost quoting on one side and
 * parsing on the other, and double the size of every byte string. An array with nulls alone is sent as null, which
 * `unnest` beside longer arrays extends with nulls.
 */

type Values<T> = readonly (T | null | undefined)[];

/** Type oids of pg_type.dat, which never change. */
const OID = { bool: 16, bytea: 17, int8: 20, int2: 21, int4: 23, text: 25, float8: 701 } as const;

/** Dimensions, null flag, element type; then length and lower bound of the one dimension. */
const HEADER_BYTES = 20;
const LENGTH_BYTES = 4;

/** For `$n::bigint[]`; every number is a safe integer. */
export function int8Array(values: Values<number>): Buffer | null {
  return fixed(OID.int8, 8, values, (buffer, value, at) => {
    buffer.writeInt32BE(Math.floor(value / 2 ** 32), at);
    buffer.writeUInt32BE(value >>> 0, at + 4);
  });
}

/** For `$n::int[]`. */
export function int4Array(values: Values<number>): Buffer | null {
  return fixed(OID.int4, 4, values, (buffer, value, at) => buffer.writeInt32BE(value, at));
}

/** For `$n::smallint[]`. */
export function int2Array(values: Values<number>): Buffer | null {
  return fixed(OID.int2, 2, values, (buffer, value, at) => buffer.writeInt16BE(value, at));
}

/** For `$n::float8[]`. */
export function float8Array(values: Values<number>): Buffer | null {
  return fixed(OID.float8, 8, values, (buffer, value, at) => buffer.writeDoubleBE(value, at));
}

/** For `$n::boolean[]`. */
export function boolArray(values: Values<boolean>): Buffer | null {
  return fixed(OID.bool, 1, values, (buffer, value, at) => buffer.writeUInt8(value ? 1 : 0, at));
}

/** For `$n::text[]`. */
export function textArray(values: Values<string>): Buffer | null {
  return varying(
    OID.text,
    values,
    (value) => Buffer.byteLength(value),
    (buffer, value, at) => buffer.write(value, at),
  );
}

/** For `$n::bytea[]`. */
export function byteaArray(values: Values<Uint8Array>): Buffer | null {
  return varying(
    OID.bytea,
    values,
    (value) => value.byteLength,
    (buffer, value, at) => buffer.set(value, at),
  );
}

function fixed<T>(
  oid: number,
  width: number,
  values: Values<T>,
  write: (buffer: Buffer, value: T, at: number) => void,
): Buffer | null {
  return varying(oid, values, () => width, write);
}

// Index loops on purpose: with iterators, their result objects were an eighth of what a scheduler allocated under load.
function varying<T>(
  oid: number,
  values: Values<T>,
  sizeOf: (value: T) => number,
  write: (buffer: Buffer, value: T, at: number) => void,
): Buffer | null {
  const { length } = values;
  let bytes = HEADER_BYTES + length * LENGTH_BYTES;
  let nulls = 0;
  for (let index = 0; index < length; index++) {
    const value = values[index];
    if (value === null || value === undefined) nulls++;
    else bytes += sizeOf(value);
  }
  if (nulls === length) return length === 0 ? empty(oid) : null;
  const buffer = Buffer.allocUnsafe(bytes);
  writeHeader(buffer, oid, nulls > 0, length);
  let at = HEADER_BYTES;
  for (let index = 0; index < length; index++) {
    const value = values[index];
    const size = value === null || value === undefined ? -1 : sizeOf(value);
    buffer.writeInt32BE(size, at);
    at += LENGTH_BYTES;
    if (value === null || value === undefined) continue;
    write(buffer, value, at);
    at += size;
  }
  return buffer;
}

function writeHeader(buffer: Buffer, oid: number, hasNulls: boolean, length: number): void {
  buffer.writeInt32BE(1, 0);
  buffer.writeInt32BE(hasNulls ? 1 : 0, 4);
  buffer.writeInt32BE(oid, 8);
  buffer.writeInt32BE(length, 12);
  buffer.writeInt32BE(1, 16);
}

function empty(oid: number): Buffer {
  const buffer = Buffer.alloc(12);
  buffer.writeInt32BE(oid, 8);
  return buffer;
}

/** JSON text of a value for a jsonb parameter, or null. */
export function jsonParam(value: unknown): string | null {
  return value === undefined || value === null ? null : JSON.stringify(value);
}

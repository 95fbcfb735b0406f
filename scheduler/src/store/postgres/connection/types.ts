/** Parsers of PostgreSQL's types. */
import pg from "pg";

/** Type oids of pg_type.dat, which never change. */
const OID = { int8: 20, int2Array: 1005, int4Array: 1007, int8Array: 1016, float8Array: 1022 };

/** Parsers of values. The driver's own array parser reads character by character, for any type and any depth. */
export const TYPES = new pg.TypeOverrides();
TYPES.setTypeParser(OID.int8, toSafeInteger);
TYPES.setTypeParser(OID.int8Array, (text) => elements(text).map(toSafeInteger));
for (const oid of [OID.int2Array, OID.int4Array, OID.float8Array])
  TYPES.setTypeParser(oid, (text) => elements(text).map(toNumber));

function elements(text: string): string[] {
  return text === "{}" ? [] : text.slice(1, -1).split(",");
}

function toNumber(text: string): number {
  const value = Number(text);
  if (Number.isNaN(value)) throw new RangeError(`an array of numbers from the database holds ${text}`);
  return value;
}

function toSafeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`${text} is beyond 2^53, the largest id supported`);
  return value;
}

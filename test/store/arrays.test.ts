import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  boolArray,
  byteaArray,
  float8Array,
  int2Array,
  int4Array,
  int8Array,
  textArray,
} from "../../scheduler/src/store/postgres/arrays.ts";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";

let db: TestDatabase;

before(async () => {
  db = await createDatabase({ migrated: false });
});

after(() => db.drop());

/** What PostgreSQL makes of a binary array of this type. */
async function read(type: string, array: Buffer | null): Promise<unknown> {
  const [row] = await db.query<{ text: string | null }>(`select ($1::${type}[])::text as text`, [array]);
  return row?.text;
}

test("PostgreSQL reads binary arrays as their text forms", async () => {
  const numbers = [1, null, -1, 2 ** 32, -(2 ** 32) - 1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER];
  assert.equal(await read("bigint", int8Array(numbers)), `{${numbers.map((n) => n ?? "NULL").join(",")}}`);
  assert.equal(await read("int", int4Array([0, -(2 ** 31), 2 ** 31 - 1])), "{0,-2147483648,2147483647}");
  assert.equal(await read("smallint", int2Array([undefined, -32_768, 32_767])), "{NULL,-32768,32767}");
  assert.equal(await read("float8", float8Array([0.1, -1e300, null])), "{0.1,-1e+300,NULL}");
  assert.equal(await read("boolean", boolArray([true, null, false])), "{t,NULL,f}");
  assert.equal(await read("text", textArray(["größe", null, "", 'a"b\\c'])), '{größe,NULL,"","a\\"b\\\\c"}');
  assert.equal(await read("bytea", byteaArray([Buffer.from([0, 255]), null])), '{"\\\\x00ff",NULL}');
});

test("an empty column is an empty array, a column of nulls is null", async () => {
  assert.equal(await read("bigint", int8Array([])), "{}");
  assert.equal(await read("text", textArray([])), "{}");
  assert.equal(int8Array([null, undefined]), null);
  assert.equal(textArray([undefined]), null);
});

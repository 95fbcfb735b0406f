import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadMigrations, type Migration, pendingMigrations, SchemaMismatchError } from "./migrate.ts";

const migration = (number: number): Migration => ({
  number,
  name: `m${number}`,
  sql: "",
  checksum: `sum${number}`,
});
const [one, two, three] = [migration(1), migration(2), migration(3)];

describe("pending migrations", () => {
  it("are those that were not applied, in order", () => {
    assert.deepEqual(pendingMigrations([one, two, three], []), [one, two, three]);
    assert.deepEqual(pendingMigrations([one, two, three], [one]), [two, three]);
    assert.deepEqual(pendingMigrations([one, two], [one, two]), []);
  });

  it("are refused when the database knows more, or other, than the program", () => {
    assert.throws(() => pendingMigrations([one], [one, two]), SchemaMismatchError);
    assert.throws(() => pendingMigrations([one], [{ ...one, checksum: "x" }]), /sum1.*changed after/s);
  });

  it("are brought by the program numbered without gaps, each with its checksum", async () => {
    const known = await loadMigrations();
    assert.ok(known.length > 0);
    known.forEach(({ number, checksum, sql }, n) => {
      assert.equal(number, n + 1);
      assert.match(checksum, /^[0-9a-f]{64}$/);
      assert.ok(sql.length > 0);
    });
  });
});

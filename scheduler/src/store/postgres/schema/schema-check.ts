/** Compares the schema with the migrations of this program. */
import type { Database, Statement } from "../connection/database.ts";
import { loadMigrations } from "./migrate.ts";

const APPLIED: Statement = { name: "migrations-applied", text: "select number from migration" };

/** Migrations that this program needs and the database lacks, as after a restore from an old backup. */
export async function missingMigrations(db: Database): Promise<string[]> {
  const known = await loadMigrations();
  const rows = await db.coldOnce<{ number: number }>(APPLIED, []);
  const applied = new Set(rows.map(({ number }) => number));
  return known
    .filter(({ number }) => !applied.has(number))
    .map(({ number, name }) => `${String(number).padStart(4, "0")}_${name}`);
}

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import pg from "pg";
import type { Database, Statement } from "../../scheduler/src/store/postgres/connection/database.ts";
import { claimKeyed, claimRated, keyedClaims } from "../../scheduler/src/store/postgres/tasks/claim.ts";
import { finishStatement } from "../../scheduler/src/store/postgres/tasks/finish.ts";
import { openFixture, type StoreFixture } from "./fixture.ts";

interface Plan {
  readonly "Node Type": string;
  readonly "CTE Name"?: string;
  readonly "Parent Relationship"?: string;
  readonly Plans?: readonly Plan[];
}

/** CTEs of one row. */
const SINGLE = ["counted", "refused", "freed_keys"];

/**
 * The planner expects a row or two of each CTE. A nested loop over two of them compares every pair: a million for a claim of
 * 1,000 tasks.
 */
describe("store: plans of batches with keys", () => {
  let fixture: StoreFixture;
  let client: pg.Client;

  before(async () => {
    fixture = await openFixture();
    await fixture.submit("made", 1_000);
    await fixture.db.query("analyze task");
    client = new pg.Client({ connectionString: fixture.db.url, options: "-c search_path=muster" });
    await client.connect();
    await client.query("set plan_cache_mode = force_generic_plan");
  });
  after(async () => {
    await client.end();
    await fixture.close();
  });

  const statements: Record<string, () => Promise<Statement>> = {
    "a claim with concurrency keys": () => captured((db) => claimKeyed(db, [], "a")),
    "a claim that is expected to be admitted": () => captured((db) => keyedClaims(db)([], "a")),
    "a claim with rate limits": () => captured((db) => claimRated(db, [], "a")),
    "an end with concurrency keys": async () => finishStatement([], true).statement,
  };
  for (const [name, statementOf] of Object.entries(statements))
    it(`compare no rows of two CTEs with each other: ${name}`, async () => {
      const loops = nodesOf(await planOf(await statementOf())).filter(
        (node) => node["Node Type"] === "Nested Loop",
      );
      const compared = loops
        .map(({ Plans = [] }) => Plans.map((plan) => plan["CTE Name"]))
        .filter(([outer, inner]) => inner !== undefined && !SINGLE.includes(outer ?? ""));
      assert.deepEqual(compared, []);
    });

  async function planOf({ name, text }: Statement): Promise<Plan> {
    await client.query(`prepare "${name}" as ${text}`);
    const { rows } = await client.query(
      "select cardinality(parameter_types) as count from pg_prepared_statements where name = $1",
      [name],
    );
    const nulls = Array.from({ length: rows[0].count }, () => "null").join(", ");
    const explained = await client.query(`explain (format json) execute "${name}" (${nulls})`);
    return explained.rows[0]["QUERY PLAN"][0].Plan;
  }
});

function nodesOf(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}

/** The statement that a function of the store runs. */
async function captured(run: (db: Database) => Promise<unknown>): Promise<Statement> {
  let statement: Statement | undefined;
  const hot = async (given: Statement) => {
    statement = given;
    return [];
  };
  await run({ hot } as unknown as Database);
  assert.ok(statement);
  return statement;
}

/** The templates that pools have and had, by version. */
import type { PoolRecord } from "../../../domain/pools/pool.ts";
import type { KeptTemplate } from "../../../domain/pools/pool-changes.ts";
import type { TemplateVersion } from "../../../domain/pools/rollout-record.ts";
import type { Runner, Statement } from "../connection/database.ts";

/** Templates of a pool that are kept besides the one that it has, the one that was stable, and those of open launches. */
const KEPT = 20;

const LIST: Statement = {
  name: "pool-templates",
  text: "select version::float8 as version, template from pool_template where pool = $1 order by version desc",
};

// The one before is kept as well: an older scheduler keeps none.
const KEEP: Statement = {
  name: "pool-keep-templates",
  text: `insert into pool_template (pool, version, template)
    select $1, d.version, d.template::jsonb from unnest($2::float8[], $3::text[]) as d(version, template)
    on conflict (pool, version) do nothing`,
};

const FORGET: Statement = {
  name: "pool-forget-templates",
  text: `delete from pool_template t
    where t.pool = $1 and t.version <> all($2::float8[])
      and t.version < (select min(version) from (
        select version from pool_template where pool = $1 order by version desc limit ${KEPT}) newest)
      and not exists (select from pool_launch q where q.pool = t.pool and q.template_version = t.version and q.end_time is null)`,
};

const ROLL_BACK: Statement = {
  name: "pool-roll-back",
  text: `update pool p
      set spec = jsonb_set(p.spec, '{template}', t.template), version = p.version + 1, template_version = t.version,
          update_time = now()
     from pool_template t
    where p.name = $1 and t.pool = p.name and t.version = $2
    returning p.name`,
};

export function poolTemplates(runner: Runner, pool: string): Promise<KeptTemplate[]> {
  return runner.run<{ version: number; template: KeptTemplate["template"] }>(LIST, [pool]);
}

/** Keeps the template that the pool had and the one that it has now, and removes old ones that nothing needs. */
export async function keepTemplates(
  tx: Runner,
  before: PoolRecord | undefined,
  pool: PoolRecord,
): Promise<void> {
  if (before?.templateVersion === pool.templateVersion) return;
  const { name } = pool.spec;
  const kept = before ? [before, pool] : [pool];
  await tx.run(KEEP, [
    name,
    kept.map(({ templateVersion }) => templateVersion),
    kept.map(({ spec }) => JSON.stringify(spec.template)),
  ]);
  const { stable, now } = pool.rollout;
  const needed = [stable, now?.from, now?.to].flatMap((each) => (each ? [each.version] : []));
  await tx.run(FORGET, [name, [pool.templateVersion, ...needed]]);
}

/** The pool takes a kept template again. */
export async function rollBack(tx: Runner, pool: string, { version }: TemplateVersion): Promise<void> {
  const rows = await tx.run(ROLL_BACK, [pool, version]);
  if (rows.length === 0) throw new Error(`template version ${version} of pool ${pool} is not kept`);
}

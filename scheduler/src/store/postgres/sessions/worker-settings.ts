/** Reads the settings that workers registered with. */
import {
  ADDRESS_SETTING,
  BY_DEFAULT,
  type DefaultAddressed,
} from "../../../domain/workers/worker-setting.ts";
import type { Database, Statement } from "../connection/database.ts";

const DEFAULT_ADDRESSED: Statement = {
  name: "worker-default-addressed",
  text: `select count(*) over () as count, s.worker_id, coalesce(s.hello #>> '{host,hostname}', '') as hostname,
    jsonb_path_query_first(s.settings, '$[*] ? (@.name == "${ADDRESS_SETTING}").value') #>> '{}' as address
    from session_lease l join worker_session s on s.id = l.session_id
   where s.gone_time is null and s.settings @> '[{"name": "${ADDRESS_SETTING}", "source": "${BY_DEFAULT}"}]'
   order by s.worker_id limit $1`,
};

/** The living workers that dial the SDK's default address, and at most `limit` of them by name. */
export async function defaultAddressed(db: Database, limit: number): Promise<DefaultAddressed> {
  const rows = await db.cold<{ count: number; worker_id: string; hostname: string; address: string | null }>(
    DEFAULT_ADDRESSED,
    [limit],
  );
  return {
    count: rows[0]?.count ?? 0,
    workers: rows.map((row) => ({
      workerId: row.worker_id,
      hostname: row.hostname,
      address: row.address ?? "",
    })),
  };
}

import assert from "node:assert/strict";
import { chownSync, copyFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { migrateDatabase, openPostgresStore } from "@muster/scheduler";
import pg from "pg";
import { Certificates } from "../support/certificates.ts";
import { startServer, type TestServer } from "../support/database/server.ts";

/** By role: how the server lets it in. */
const ENTRIES = [
  "hostnossl all all_tls all reject",
  "hostssl all all_tls all scram-sha-256",
  "hostssl all plain_password all password",
  "hostssl all no_password all trust",
  "hostnossl all never_tls all scram-sha-256",
  "hostssl all never_tls all reject",
];
const ROLES = ["all_tls", "plain_password", "no_password", "never_tls"];

describe("T11: TLS to a real PostgreSQL", () => {
  const certificates = new Certificates();
  let server: TestServer;
  let admin: pg.Client;

  before(async () => {
    server = await startServer();
    admin = new pg.Client({ connectionString: server.url });
    await admin.connect();
    await certificates.authority("ca");
    await certificates.authority("other");
    await certificates.issue("server", { altName: "DNS:db.example" });
    const folder = await setting("data_directory");
    for (const name of ["server.pem", "server.key"]) {
      const { uid, gid } = statSync(folder);
      copyFileSync(certificates.file(name), join(folder, name));
      chownSync(join(folder, name), uid, gid);
    }
    const hba = await setting("hba_file");
    writeFileSync(hba, `${ENTRIES.join("\n")}\n${readFileSync(hba, "utf8")}`);
    for (const role of ROLES) {
      await admin.query(`create role ${role} login password 'secret'`);
      await admin.query(`grant create on database muster to ${role}`);
    }
    await admin.query("alter system set ssl_cert_file = 'server.pem'");
    await admin.query("alter system set ssl_key_file = 'server.key'");
    await admin.query("alter system set ssl = on");
    await admin.query("select pg_reload_conf()");
    await migrateDatabase(server.url);
    for (const role of ROLES) {
      await admin.query(`grant usage on schema muster to ${role}`);
      await admin.query(`grant all on all tables in schema muster to ${role}`);
      await admin.query(`grant all on all sequences in schema muster to ${role}`);
    }
  });

  after(async () => {
    await admin.end();
    await server.remove();
    certificates.remove();
  });

  async function setting(name: string): Promise<string> {
    const { rows } = await admin.query<Record<string, string>>(`show ${name}`);
    return rows[0]?.[name] ?? "";
  }

  function url(role: string, query: string): string {
    const parsed = new URL(server.url);
    const ca = (name: string) => encodeURIComponent(certificates.file(`${name}.pem`));
    return `postgres://${role}:secret@${parsed.host}/muster?${query.replace("CA", ca("ca")).replace("OTHER", ca("other"))}`;
  }

  /** `tls`, `plain`, or why it does not connect, by the pools of a store. */
  async function outcome(role: string, query: string, env: Record<string, string> = {}): Promise<string> {
    const application = `tls-${Math.random().toString(36).slice(2, 8)}`;
    try {
      await migrateDatabase(url(role, query), { env });
      const store = openPostgresStore({
        url: url(role, query),
        env,
        applicationName: `muster ${application}`,
        onConnectionError: () => undefined,
      });
      try {
        await store.databaseTime();
        const { rows } = await admin.query<{ ssl: boolean }>(
          "select s.ssl from pg_stat_ssl s join pg_stat_activity a using (pid) where a.application_name like $1",
          [`%${application}%`],
        );
        assert.ok(rows.length > 0);
        return rows.every(({ ssl }) => ssl) ? "tls" : "plain";
      } finally {
        await store.close();
      }
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  const NAMED = "db.example&hostaddr=127.0.0.1";
  for (const [role, query, expected] of [
    ["all_tls", "sslmode=disable", /no encryption.*28000/],
    ["all_tls", "", /^tls$/],
    ["all_tls", "sslmode=allow", /^tls$/],
    ["all_tls", "sslmode=prefer", /^tls$/],
    ["all_tls", "sslmode=require", /^tls$/],
    ["all_tls", "sslmode=require&sslnegotiation=direct", /^tls$/],
    ["all_tls", "sslmode=require&sslrootcert=CA", /^tls$/],
    ["all_tls", "sslmode=require&sslrootcert=OTHER", /encrypted connection .* cannot be made: .*certificate/],
    ["all_tls", "sslmode=verify-ca&sslrootcert=CA", /^tls$/],
    [
      "all_tls",
      "sslmode=verify-ca&sslrootcert=OTHER",
      /encrypted connection .* cannot be made: .*certificate/,
    ],
    ["all_tls", "sslmode=verify-ca", /encrypted connection .* cannot be made: .*certificate/],
    ["all_tls", "sslmode=verify-full&sslrootcert=CA", /cannot be made: .*127\.0\.0\.1/],
    ["all_tls", `sslmode=verify-full&sslrootcert=CA&host=${NAMED}`, /^tls$/],
    ["all_tls", `sslmode=verify-full&sslrootcert=OTHER&host=${NAMED}`, /cannot be made: .*certificate/],
    [
      "all_tls",
      "sslmode=verify-full&sslrootcert=CA&host=elsewhere.example&hostaddr=127.0.0.1",
      /cannot be made: .*elsewhere\.example/,
    ],
    ["never_tls", "sslmode=prefer", /^plain$/],
    ["never_tls", "sslmode=require", /28000/],
    ["never_tls", "", /^plain$/],
    ["all_tls", "channel_binding=require", /^tls$/],
    ["all_tls", "sslmode=require&channel_binding=require", /^tls$/],
    ["all_tls", "sslmode=require&channel_binding=disable", /^tls$/],
    ["plain_password", "channel_binding=require", /channel_binding=require .*asks for the plain password/],
    ["no_password", "channel_binding=require", /channel_binding=require .*lets the role in without it/],
    ["no_password", "sslmode=require", /^tls$/],
  ] as const) {
    it(`${role} with ${query || "nothing"}: ${expected.source}`, async () => {
      assert.match(await outcome(role, query), expected);
    });
  }

  it("reads PGCHANNELBINDING", async () => {
    assert.match(
      await outcome("no_password", "", { PGCHANNELBINDING: "require" }),
      /channel_binding=require/,
    );
  });
});

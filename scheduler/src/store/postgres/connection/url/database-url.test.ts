import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConnectionTarget, sessionName } from "../connection.ts";
import { DatabaseUrlError, parseDatabaseUrl } from "./database-url.ts";

function faultsOf(url: string, env: Record<string, string> = {}): readonly string[] {
  try {
    parseDatabaseUrl(url, env);
  } catch (error) {
    if (error instanceof DatabaseUrlError) return error.faults;
    throw error;
  }
  return [];
}

describe("T11: a database's URL", () => {
  it("is taken apart as libpq does", () => {
    const full = parseDatabaseUrl("postgres://me:secret@db.example:6432/muster");
    assert.deepEqual(
      [full.host, full.port, full.user, full.password, full.database],
      ["db.example", 6432, "me", "secret", "muster"],
    );
    const bare = parseDatabaseUrl("postgresql://");
    assert.deepEqual(
      [bare.host, bare.port, bare.user, bare.password, bare.database, bare.options],
      [undefined, undefined, undefined, undefined, undefined, undefined],
    );
    const parameters = parseDatabaseUrl("postgres:///?host=/run/pg&port=5433&dbname=m&user=u&password=p");
    assert.deepEqual(
      [parameters.host, parameters.port, parameters.database, parameters.user, parameters.password],
      ["/run/pg", 5433, "m", "u", "p"],
    );
    assert.equal(parseDatabaseUrl("postgres://%2Frun%2Fpg/m").host, "/run/pg");
    assert.deepEqual(
      [parseDatabaseUrl("postgres://u@[::1]:5432/m").host, parseDatabaseUrl("postgres://u@[::1]/m").port],
      ["::1", undefined],
    );
  });

  it("may have any character in names and password", () => {
    const odd = parseDatabaseUrl(
      "postgres://we%2Fird%40us%3Aer:p%40s%2Fs%25%23w%C3%B6rd@h/my%20data%2Fbase%3F",
    );
    assert.deepEqual(
      [odd.user, odd.password, odd.database],
      ["we/ird@us:er", "p@s/s%#wörd", "my data/base?"],
    );
    // Common spellings: what is unambiguous is accepted.
    assert.equal(parseDatabaseUrl("postgres://u:100%@h/m").password, "100%");
    assert.equal(parseDatabaseUrl("postgres://u:a@b:c%zz@h/m").password, "a@b:c%zz");
  });

  it("keeps what it asks of the session", () => {
    const given = parseDatabaseUrl("postgres://h/m?options=-c%20geqo%3Doff&application_name=x");
    assert.deepEqual([given.options, given.applicationName], ["-c geqo=off", "x"]);
    assert.equal(parseDatabaseUrl("postgres://h/m?options=-c+geqo%3Doff").options, "-c geqo=off");
    assert.equal(parseDatabaseUrl("postgres://h/m", { PGAPPNAME: "x" }).applicationName, "x");
    assert.equal(parseDatabaseUrl("postgres://h/m?connect_timeout=3").connectTimeoutMs, 3_000);
  });

  for (const [what, url, fault] of [
    ["another scheme", "mysql://u:hunter2@h/m", /^must begin with postgres:\/\/ or postgresql:\/\/$/],
    [
      "a parameter with a typo",
      "postgres://h/m?sslmod=require",
      /^the parameter "sslmod" is not known; did you mean sslmode\?$/,
    ],
    [
      "an unknown parameter",
      "postgres://h/m?colour=red",
      /^the parameter "colour" is not known: allowed are host, port, /,
    ],
    [
      "a parameter that cannot be honoured",
      "postgres://h/m?passfile=/x",
      /^the parameter passfile is not supported: the variable PGPASSFILE/,
    ],
    [
      "a setting that Muster makes",
      "postgres://h/m?statement_timeout=5",
      /^the parameter statement_timeout is not supported: Muster sets it/,
    ],
    ["a parameter without a value", "postgres://h/m?sslmode", /^the parameter "sslmode" has no value$/],
    ["several hosts", "postgres://u:hunter2@a:1,b:2/m", /^it names 2 hosts, and Muster connects to one: /],
    ["several hosts as a parameter", "postgres:///m?host=a,b,c", /^it names 3 hosts/],
    [
      "a session on a replica",
      "postgres://h/m?target_session_attrs=standby",
      /^target_session_attrs="standby" is not supported: allowed is any, read-write, primary/,
    ],
    [
      "an unknown sslmode",
      "postgres://h/m?sslmode=no-verify",
      /^sslmode="no-verify" is not one of disable, allow, prefer, require, verify-ca, verify-full$/,
    ],
    [
      "a certificate without a key",
      "postgres://h/m?sslcert=a.pem",
      /^sslcert and sslkey are needed together$/,
    ],
    [
      "a slash in the password",
      "postgres://u:hunter2/x@h/m",
      /^its port is not a number between 1 and 65535; a \/ \? # or @ in the user name/,
    ],
    ["a # in the password", "postgres://u:hunter2#x@h/m", /^it holds a #, and nothing may follow one: /],
    ["a port beyond 65535", "postgres://h:65536/m", /^its port is not a number/],
    [
      "an encoding that is not UTF-8",
      "postgres://h/m?client_encoding=LATIN1",
      /^client_encoding="LATIN1" is not supported/,
    ],
  ] as const) {
    it(`is refused with ${what}`, () => {
      const faults = faultsOf(url);
      assert.match(faults[0] ?? "", fault);
      assert.ok(!faults.join().includes("hunter2"), faults.join());
    });
  }

  // Every parameter that libpq documents, with a value and what becomes of it.
  for (const [parameter, refused] of [
    ["host=h", false],
    ["hostaddr=127.0.0.1", false],
    ["hostaddr=db.example", true],
    ["port=5432", false],
    ["dbname=m", false],
    ["user=u", false],
    ["password=p", false],
    ["passfile=/x", true],
    ["require_auth=scram-sha-256", true],
    ["channel_binding=prefer", false],
    ["channel_binding=require", false],
    ["channel_binding=disable", false],
    ["channel_binding=always", true],
    ["channel_binding=require&sslmode=disable", true],
    ["connect_timeout=10", false],
    ["connect_timeout=soon", true],
    ["client_encoding=UTF8", false],
    ["options=-c%20geqo%3Doff", false],
    ["application_name=x", false],
    ["fallback_application_name=x", false],
    ["keepalives=1", false],
    ["keepalives=yes", true],
    ["keepalives_idle=30", false],
    ["keepalives_interval=10", true],
    ["keepalives_count=5", true],
    ["tcp_user_timeout=1000", true],
    ["replication=database", true],
    ["replication=false", false],
    ["gssencmode=disable", false],
    ["gssencmode=prefer", false],
    ["gssencmode=require", true],
    ["sslmode=require", false],
    ["requiressl=1", true],
    ["sslnegotiation=postgres", false],
    ["sslnegotiation=direct&sslmode=require", false],
    ["sslnegotiation=direct", true],
    ["sslcompression=0", false],
    ["sslcompression=1", true],
    ["sslcert=a.pem&sslkey=b.pem", false],
    ["sslkeylogfile=/x", true],
    ["sslpassword=p", false],
    ["sslcertmode=allow", false],
    ["sslcertmode=require", true],
    ["sslrootcert=ca.pem", false],
    ["sslrootcert=system", false],
    ["sslrootcert=system&sslmode=require", true],
    ["sslcrl=crl.pem", false],
    ["sslcrldir=/x", true],
    ["sslsni=1", false],
    ["sslsni=0", true],
    ["requirepeer=postgres", true],
    ["ssl_min_protocol_version=TLSv1.2", false],
    ["ssl_max_protocol_version=TLSv1.3", false],
    ["ssl_min_protocol_version=SSLv3", true],
    ["min_protocol_version=3.0", true],
    ["max_protocol_version=3.2", true],
    ["krbsrvname=postgres", true],
    ["gsslib=gssapi", true],
    ["gssdelegation=1", true],
    ["scram_client_key=x", true],
    ["scram_server_key=x", true],
    ["service=s", true],
    ["target_session_attrs=any", false],
    ["target_session_attrs=read-write", false],
    ["target_session_attrs=primary", false],
    ["target_session_attrs=prefer-standby", true],
    ["load_balance_hosts=disable", false],
    ["load_balance_hosts=random", true],
    ["oauth_issuer=https://x", true],
    ["oauth_client_id=x", true],
    ["oauth_client_secret=x", true],
    ["oauth_scope=x", true],
  ] as const) {
    it(`${refused ? "refuses by its name" : "honours"} ${parameter}`, () => {
      const faults = faultsOf(`postgres://h/m?${parameter}`);
      if (refused) assert.match(faults.join(), new RegExp(parameter.split("=")[0] ?? ""));
      else assert.deepEqual(faults, []);
    });
  }

  it("looks the same up in the variables of libpq", () => {
    const env = { PGCHANNELBINDING: "require", PGCONNECT_TIMEOUT: "3", PGHOSTADDR: "127.0.0.1" };
    const { channelBinding, connectTimeoutMs, hostAddress, encryption } = parseDatabaseUrl(
      "postgres://h/m",
      env,
    );
    assert.deepEqual(
      [channelBinding, connectTimeoutMs, hostAddress, encryption.mode],
      ["require", 3_000, "127.0.0.1", "require"],
    );
    assert.equal(parseDatabaseUrl("postgres://h/m?channel_binding=prefer", env).channelBinding, "prefer");
    assert.match(faultsOf("postgres://h/m", { PGREQUIREAUTH: "scram-sha-256" }).join(), /require_auth/);
    assert.match(
      faultsOf("postgres://h/m", { PGCHANNELBINDING: "always" }).join(),
      /channel_binding="always"/,
    );
  });

  it("says how much TLS it wants, as libpq understands it", () => {
    const tls = (query: string, env = {}) => {
      const { encryption } = new ConnectionTarget(`postgres://h/m${query}`, env).transport;
      return encryption && [encryption.rejectUnauthorized, encryption.checkServerIdentity === undefined];
    };
    assert.equal(tls(""), false);
    assert.equal(tls("?sslmode=disable"), false);
    assert.equal(tls("?sslmode=allow"), false);
    assert.deepEqual(tls("?sslmode=prefer"), [false, false]);
    assert.deepEqual(tls("?sslmode=require"), [false, false]);
    assert.deepEqual(tls("?ssl=true"), [false, false]);
    assert.deepEqual(tls("?sslmode=verify-ca"), [true, false]);
    assert.deepEqual(tls("?sslmode=verify-full"), [true, true]);
    assert.deepEqual(tls("", { PGSSLMODE: "verify-full" }), [true, true]);
    assert.equal(
      new ConnectionTarget("postgres:///m?host=/run/pg&sslmode=require").transport.encryption,
      false,
    );
    assert.throws(
      () => new ConnectionTarget("postgres://h/m?sslmode=verify-ca&sslrootcert=/nowhere/ca.pem"),
      /the file of sslrootcert cannot be read: ENOENT.*\/nowhere\/ca\.pem/,
    );
  });

  it("goes the other way where that is allowed and needed", () => {
    const plain = new Error('no pg_hba.conf entry for host "::1", user "u", database "m", no encryption');
    const { transport } = new ConnectionTarget("postgres://h/m");
    assert.ok(transport.changes(plain));
    assert.ok(transport.encryption);
    assert.ok(!transport.changes(plain), "it has been tried");
    assert.ok(!new ConnectionTarget("postgres://h/m?sslmode=disable").transport.changes(plain));
    const without = new Error("The server does not support SSL connections");
    assert.ok(new ConnectionTarget("postgres://h/m?sslmode=prefer").transport.changes(without));
    assert.ok(!new ConnectionTarget("postgres://h/m?sslmode=require").transport.changes(without));
  });
});

describe("T11: a session's name", () => {
  const owner = "muster host-12-abcdef";

  it("has the name that the URL gives between what it is recognised by", () => {
    assert.equal(sessionName(owner, undefined, "hot"), "muster host-12-abcdef hot");
    assert.equal(sessionName(owner, "x", "hot"), "muster host-12-abcdef (x) hot");
  });

  it("fits into PostgreSQL's 63 bytes: a long host's name loses its end", () => {
    const long = `muster ${"h".repeat(80)}-4194304-abcdef`;
    for (const given of [undefined, "x", "application ".repeat(9)]) {
      const name = sessionName(long, given, "listen");
      assert.equal(name.length, 63);
      assert.match(name, /^muster h+-4194304-abcdef.* listen$/);
    }
  });

  it("is ASCII: PostgreSQL writes four bytes for any other", () => {
    assert.equal(sessionName("muster hö-1-abcdef", "ü", "cold"), "muster h?-1-abcdef (?) cold");
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Config, ConfigError, loadConfig } from "./config.ts";
import { withoutSecrets } from "./effective-settings.ts";
import { describeSettings } from "./settings-help.ts";

const HERE = { cwd: "/here", inCheckout: true, isTerminal: false };

function load(argv: readonly string[] = [], env: Record<string, string> = {}, surroundings = HERE): Config {
  return loadConfig(argv, env, surroundings);
}

function faultsOf(argv: readonly string[], env: Record<string, string> = {}): readonly string[] {
  try {
    load(argv, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}

describe("configuration", () => {
  it("links traces by http alone", () => {
    const url = "https://traces.example/trace/{trace_id}?from=muster";
    assert.equal(load(["--dashboard-trace-url", url]).dashboardTraceUrl, url);
    for (const wrong of ["javascript:alert('{trace_id}')", "https://traces.example/", "{trace_id}"])
      assert.match(
        faultsOf(["--dashboard-trace-url", wrong])[0] ?? "",
        /is no http or https URL with \{trace_id\}/,
        wrong,
      );
  });

  it("works without a word, with the documented defaults", () => {
    const config = load();
    assert.deepEqual(config.grpcAddress, { host: "127.0.0.1", port: 7070 });
    assert.deepEqual(config.httpAddress, { host: "127.0.0.1", port: 7071 });
    assert.deepEqual(config.leases, {
      heartbeatMs: 5_000,
      leaseMs: 30_000,
      graceMs: 9_000,
      acceptDeadlineMs: 5_000,
    });
    assert.equal(config.sizes.maxMessageBytes, 4 * 1024 * 1024);
    assert.equal(config.sizes.maxTasksPerSubmit, 10_000);
    assert.equal(config.databaseUrl, undefined);
    assert.equal(config.dataDir, "/here/.muster");
    assert.equal(config.logLevel, "info");
    assert.ok(Object.isFrozen(config));
  });

  it("takes a flag before a variable before the default, and an empty variable as none", () => {
    const env = { MUSTER_LEASE_S: "60", MUSTER_GRPC_ADDR: "" };
    assert.equal(load([], env).leases.leaseMs, 60_000);
    assert.equal(load(["--lease", "90"], env).leases.leaseMs, 90_000);
    assert.equal(load(["--lease=90", "--lease=95"], env).leases.leaseMs, 95_000, "the last flag counts");
    assert.equal(load([], env).grpcAddress.port, 7070);
  });

  it("reads addresses of IPv6 and of any free port", () => {
    assert.deepEqual(load(["--grpc-addr", "[::1]:0"]).grpcAddress, { host: "::1", port: 0 });
    assert.deepEqual(load(["--grpc-addr", "db.example:99"]).grpcAddress, { host: "db.example", port: 99 });
  });

  it("names every fault at once: the setting, the value, what is allowed", () => {
    const faults = faultsOf(
      ["--grpc-addr", "nonsense", "--heartbeat", "-1", "--log-level", "loud", "--max-tasks", "1.5", "stray"],
      { MUSTER_KEEP_DAYS: "none" },
    );
    const expected = [
      /^"stray" is not understood/,
      /^--grpc-addr: "nonsense" is not HOST:PORT/,
      /^--heartbeat: "-1" is not a number between 0\.05 and 3600/,
      /^--max-tasks: "1\.5" is not a whole number/,
      /^MUSTER_KEEP_DAYS: "none" is not a whole number between 1 and 36500/,
      /^--log-level: "loud" is not one of debug, info, warn, error/,
    ];
    assert.equal(faults.length, expected.length, faults.join("\n"));
    for (const pattern of expected)
      assert.ok(
        faults.some((fault) => pattern.test(fault)),
        String(pattern),
      );
  });

  it("asks whether another setting was meant", () => {
    assert.match(
      faultsOf(["--grpc-adr", "x:1"])[0] ?? "",
      /--grpc-adr is not a setting; did you mean --grpc-addr/,
    );
    assert.equal(faultsOf(["--zzzzzzzz"])[0], "--zzzzzzzz is not a setting");
    assert.match(faultsOf(["--token"])[0] ?? "", /--token needs a value/);
  });

  it("T37: takes a token without the white space around it, and none that is empty or no header can carry", () => {
    for (const text of ["s3cret\n", "s3cret\r\n", " \ts3cret ", "s3cret"]) {
      assert.equal(load([], { MUSTER_TOKEN: text }).token, "s3cret");
      assert.equal(load(["--token", text]).token, "s3cret");
    }
    for (const text of ["\n", " ", "\t\r\n"]) {
      assert.match(faultsOf([], { MUSTER_TOKEN: text })[0] ?? "", /^MUSTER_TOKEN: is empty; give a token/);
      assert.match(faultsOf(["--token", text])[0] ?? "", /^--token: is empty/);
    }
    for (const text of ["two words", "a\nb", "gr\u00fcn", "a\0b", "\u{1F600}"])
      assert.match(
        faultsOf([], { MUSTER_TOKEN: text })[0] ?? "",
        /^MUSTER_TOKEN: must be printable ASCII .*not shown/,
      );
  });

  it("checks together what belongs together", () => {
    assert.match(faultsOf(["--heartbeat", "20"])[0] ?? "", /three heartbeats must fit, so at least 60 s/);
    assert.match(faultsOf(["--max-payload", "5000000"])[0] ?? "", /--max-payload: 5000000 does not fit/);
    assert.match(faultsOf(["--tls-cert", "a.pem"])[0] ?? "", /--tls-cert and --tls-key are needed together/);
    assert.deepEqual(faultsOf(["--tls-cert", "a.pem", "--tls-key", "b.pem"]), []);
  });

  it("scans for lost workers with each heartbeat interval, and lets every mechanism act by default", () => {
    const { recoveryMs, modes } = load(["--heartbeat", "2"]);
    assert.deepEqual([recoveryMs, new Set(Object.values(modes))], [2_000, new Set(["act"])]);
    const set = load(["--recovery-interval", "300", "--modes", "all=observe,circuits=act"]);
    assert.deepEqual([set.recoveryMs, set.modes.recovery, set.modes.circuits], [300_000, "observe", "act"]);
    assert.equal(load([], { MUSTER_MODES: "poison=off" }).modes.poison, "off");
    assert.match(
      faultsOf(["--modes", "poisson=off"])[0] ?? "",
      /^--modes: "poisson=off" is not MECHANISM=MODE; /,
    );
    assert.match(
      faultsOf([], { MUSTER_RECOVERY_INTERVAL_S: "0" })[0] ?? "",
      /^MUSTER_RECOVERY_INTERVAL_S: "0"/,
    );
  });

  it("never repeats a database's URL, which may hold a password", () => {
    const [fault] = faultsOf([], { DATABASE_URL: "mysql://user:hunter2@host/db" });
    assert.match(fault ?? "", /^DATABASE_URL: must begin with postgres/);
    assert.ok(!fault?.includes("hunter2"));
  });

  it("keeps the data in the checkout, or in the home of an installed program", () => {
    const home = load([], {}, { ...HERE, inCheckout: false }).dataDir;
    assert.ok(home.endsWith(".muster") && !home.startsWith("/here"));
    assert.equal(load(["--data-dir", "sub"]).dataDir, "/here/sub");
  });

  it("writes readable lines on a terminal, and JSON elsewhere", () => {
    assert.equal(load([], {}, { ...HERE, isTerminal: true }).logPretty, true);
    assert.equal(load(["--log-format", "json"], {}, { ...HERE, isTerminal: true }).logPretty, false);
    assert.equal(load(["--log-format", "pretty"]).logPretty, true);
    assert.equal(load(["--verbose"]).logLevel, "debug");
  });

  it("describes every setting with its flag, variable and default", () => {
    const help = describeSettings();
    for (const part of ["--grpc-addr", "MUSTER_GRPC_ADDR", "default 127.0.0.1:7070", "DATABASE_URL"]) {
      assert.ok(help.includes(part), part);
    }
  });
});
describe("settings as they are shown", () => {
  it("say where each value comes from, and keep secrets", () => {
    const env = {
      MUSTER_TOKEN: "s3cret",
      DATABASE_URL: "postgres://me:s3cret@db:5432/m?sslmode=require&sslpassword=s3cret",
    };
    const shown = new Map(load(["--lease", "90"], env).settings.map((setting) => [setting.name, setting]));
    const line = (name: string) => `${shown.get(name)?.value} ${shown.get(name)?.source}`;
    assert.equal(line("lease"), "90 flag");
    assert.equal(line("heartbeat"), "5 default");
    assert.equal(line("token"), "(set, not shown) environment");
    assert.equal(
      line("database-url"),
      "postgres://me:***@db:5432/m?sslmode=require&sslpassword=*** environment",
    );
    assert.equal(line("data-dir"), "/here/.muster default");
    assert.ok(!JSON.stringify([...shown.values()]).includes("s3cret"));
    const several = withoutSecrets("postgres://me:s3cret@a:1,b:2/m");
    assert.ok(!several.includes("s3cret"), "an URL that cannot be taken apart is not shown");
    assert.equal(load().settings.find(({ name }) => name === "database-url")?.value, "(embedded PostgreSQL)");
  });
});

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { dashboards, metricsIn } from "../../deploy/grafana/build.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { poolSpec } from "../support/fleet/pool-launcher.ts";
import { killAll } from "../support/programs/program.ts";
import { ROOT } from "../support/repo/checks.ts";
import { findPrometheus, Prometheus, type PrometheusPrograms } from "../support/telemetry/prometheus.ts";
import { Scrape } from "../support/telemetry/scrape.ts";
import { until } from "../support/waits.ts";

const PROMETHEUS = join(ROOT, "deploy", "prometheus");
const RULES = join(PROMETHEUS, "muster.rules.yml");
const text = (...path: string[]) => readFileSync(join(ROOT, ...path), "utf8");

const programs = findPrometheus();
const skip = typeof programs === "string" ? programs : false;

let fleet: Fleet;
let scheduler: Scrape;
let worker: Scrape;
let workerAddress: string;
before(async () => {
  fleet = await Fleet.start();
  const program = await fleet.worker("scraped", { env: { WORKER_HTTP_ADDR: "127.0.0.1:0" } });
  workerAddress = String((await program.line("worker.http.serving")).http_addr);
  const failing = await fleet.client.submit("fail", {}, { retry: { maxRetries: 1, delaysS: [0] } });
  await assert.rejects(failing.result());
  await fleet.client.submit("unserved-type", {});
  await fleet.client.pools.applyPool({ spec: poolSpec(fleet, { name: "scraped" }) });
  scheduler = await Scrape.of(fleet.scheduler.http);
  worker = await Scrape.of(`http://${workerAddress}`);
});
after(async () => {
  await killAll();
  await fleet.stop();
});

describe("the reference of metrics", () => {
  it("lists what programs serve, with its type, and nothing else", () => {
    const [, ofScheduler = "", ofWorker = ""] = text("docs", "metrics.md").split(/^## .*$/m);
    const rows = (part: string) =>
      [...part.matchAll(/^\| `(\w+)` \| (\w+) \|/gm)].map(([, name, type]) => `${name} ${type}`).sort();
    const served = ({ text: scrape }: Scrape) =>
      [...scrape.matchAll(/^# TYPE (\w+) (\w+)$/gm)]
        .map(([, name, type]) => `${name} ${type}`)
        .filter((line) => !line.startsWith("target_info"))
        .sort();
    assert.deepEqual(rows(ofScheduler), served(scheduler));
    assert.deepEqual(rows(ofWorker), served(worker));
  });
});

describe("the dashboards", () => {
  it("are what their script makes", () => {
    for (const [name, made] of dashboards())
      assert.equal(text("deploy", "grafana", name), made, `${name} is stale: node deploy/grafana/build.ts`);
  });

  it("ask only for metrics that running programs serve", () => {
    const names = new Set([...scheduler.names, ...worker.names]);
    for (const expression of expressions()) {
      for (const name of metricsIn(expression))
        assert.ok(names.has(name) || names.has(`${name}_bucket`), `${name} is in no scrape: ${expression}`);
    }
  });
});

describe("the alerts", () => {
  it("each have an entry in the runbook, and the runbook has no other", () => {
    const alerts = [...readFileSync(RULES, "utf8").matchAll(/- alert: (\w+)[\s\S]*?runbook: (\S+)/g)];
    assert.ok(alerts.length >= 10);
    for (const [, name = "", runbook] of alerts)
      assert.equal(runbook, `docs/operations.md#${name.toLowerCase()}`);
    const headings = [...text("docs", "operations.md").matchAll(/^### (Muster\w+)$/gm)];
    assert.deepEqual(
      headings.map(([, name]) => name),
      alerts.map(([, name]) => name),
    );
  });

  it("ask only for metrics that running programs serve", () => {
    for (const name of metricsIn(readFileSync(RULES, "utf8"))) {
      const names = new Set([...scheduler.names, ...worker.names]);
      assert.ok(names.has(name) || names.has(`${name}_bucket`), name);
    }
  });
});

describe("promtool", { skip }, () => {
  it("accepts rules and configuration, and the rules pass their tests", () => {
    promtool("check", "rules", RULES);
    promtool("check", "config", join(PROMETHEUS, "prometheus.yml"));
    promtool("test", "rules", join(PROMETHEUS, "muster.rules.test.yml"));
  });

  it("has nothing against the scrapes", () => {
    assert.equal(promtool("check", "metrics", { input: scheduler.text }), "");
    assert.equal(promtool("check", "metrics", { input: worker.text }), "");
  });
});

describe("Prometheus", { skip }, () => {
  let server: Prometheus;
  before(async () => {
    const jobs = {
      "muster-scheduler": fleet.scheduler.http.replace("http://", ""),
      "muster-worker": workerAddress,
    };
    server = await Prometheus.start(found(), jobs, [RULES]);
  });
  after(() => server?.stop());

  it("scrapes scheduler and worker", async () => {
    await until("both targets are up", async () =>
      (await server.query("up == 1")).length === 2 ? true : undefined,
    );
    const [ready] = await server.query('max(muster_workers{state="ready"})');
    assert.equal(ready?.value, 1);
    const [heartbeats] = await server.query("worker_heartbeats_total");
    assert.ok(heartbeats && heartbeats.value > 0);
  });

  it("answers every panel", async () => {
    // Rates need two scrapes of each.
    for (const metric of ["muster_worker_heartbeats_total", "worker_heartbeats_total"]) {
      await until(`there is a rate of ${metric}`, async () =>
        (await server.query(`rate(${metric}[10s]) > 0`)).length > 0 ? true : undefined,
      );
    }
    for (const expression of expressions()) {
      const asked = expression
        .replaceAll("$__rate_interval", "10s")
        .replaceAll(/\$(?:queue|type|instance)/g, ".*");
      assert.ok((await server.query(asked)).length > 0, `no data: ${asked}`);
    }
  });

  it("raises the alarm for tasks without a worker, and no other", async () => {
    await until("the alert is pending", async () => {
      const { alerts } = Object(await server.api("alerts"));
      const raised = alerts.map(({ labels, state }: { labels: Record<string, string>; state: string }) =>
        [labels.alertname, labels.type ?? "", state].join(" "),
      );
      if (raised.length === 0) return undefined;
      assert.deepEqual(raised, ["MusterNoReadyWorker unserved-type pending"]);
      return true;
    });
  });
});

function expressions(): string[] {
  return [...dashboards().values()].flatMap((json) =>
    JSON.parse(json).panels.flatMap(({ targets = [] }: { targets?: { expr: string }[] }) =>
      targets.map(({ expr }) => expr),
    ),
  );
}

function found(): PrometheusPrograms {
  if (typeof programs === "string") throw new Error(programs);
  return programs;
}

/** Answers what it says; a failure is an Error with it. */
function promtool(...args: (string | { input: string })[]): string {
  const last = args.at(-1);
  const input = typeof last === "object" ? last.input : undefined;
  const words = args.filter((arg) => typeof arg === "string");
  const said = execFileSync(found().promtool, words, {
    encoding: "utf8",
    ...(input === undefined ? {} : { input }),
  });
  return input === undefined ? said : said.trim();
}
